package main

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestKeepRenewed: after a failure it asks again within the hour, and otherwise
// when it was told to, until it is interrupted.
func TestKeepRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		begin, said := time.Now(), 0
		var asked []time.Duration
		err := keepRenewed(ctx, 12*time.Hour, func(context.Context) error {
			asked = append(asked, time.Since(begin))
			switch len(asked) {
			case 2:
				return errors.New("no network")
			case 4:
				cancel()
			}
			return nil
		}, func(string) { said++ })
		want := []time.Duration{0, 12 * time.Hour, 13 * time.Hour, 25 * time.Hour}
		if err != nil || said != 1 || len(asked) != len(want) {
			t.Fatalf("%v, said %d, asked at %v", err, said, asked)
		}
		for i := range want {
			if asked[i] != want[i] {
				t.Errorf("asked at %v, want %v", asked, want)
			}
		}
	})
}
