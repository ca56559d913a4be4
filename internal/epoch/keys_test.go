package epoch_test

import (
	"github.com/teems-go/teems/internal/epoch"
	"github.com/teems-go/teems/internal/keys"
)

var _ epoch.Keys = (*keys.Server)(nil)
