package simulate

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/teems-go/teems/internal/deploy"
)

// Folders of runs, and the lock that each holds as long as its process lives.
const (
	folderPrefix = "teems-sim-"
	lockFile     = "lock"
)

// folder makes a run's folder, and removes those of runs that were killed: nobody
// holds their locks. remove is for the end.
func folder() (dir string, remove func(), err error) {
	sweep()
	dir, err = os.MkdirTemp("", folderPrefix)
	if err != nil {
		return "", nil, fmt.Errorf("a folder for the run: %w: free some space, or name another place (TMPDIR)", err)
	}
	unlock, _ := tryLock(filepath.Join(dir, lockFile))
	return dir, func() { unlock(); os.RemoveAll(dir) }, nil
}

func sweep() {
	left, _ := filepath.Glob(filepath.Join(os.TempDir(), folderPrefix+"*"))
	for _, dir := range left {
		lock := filepath.Join(dir, lockFile)
		if _, err := os.Stat(lock); err != nil { // not ours, or just being made
			continue
		}
		if unlock, ok := tryLock(lock); ok {
			os.RemoveAll(dir)
			unlock()
		}
	}
}

// keepLog saves what a process that died has said from the folder, which goes, and
// names the new place where the error names the old one.
func keepLog(err error, dir string) error {
	var died *deploy.Ended
	if !errors.As(err, &died) || died.LogAt == "" {
		return err
	}
	said, failed := os.ReadFile(died.LogAt)
	if failed != nil {
		return err
	}
	name := strings.Trim(strings.TrimPrefix(died.LogAt, dir), "/")
	name = strings.TrimSuffix(strings.TrimSuffix(name, "/"+deploy.LogFile), "."+deploy.LogFile)
	to := filepath.Join(filepath.Dir(dir), fmt.Sprintf("teems-%s-%d.log", name, died.PID))
	if os.WriteFile(to, said, 0o600) != nil {
		return err
	}
	return &moved{err, strings.ReplaceAll(err.Error(), died.LogAt, to)}
}

// moved is an error with another text.
type moved struct {
	error
	text string
}

func (m *moved) Error() string { return m.text }
func (m *moved) Unwrap() error { return m.error }
