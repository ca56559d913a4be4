package experiment

import "runtime/debug"

// commit is set by the linker where the image is built; see Commit.
var commit string

// Commit returns the commit that the program was built from, "unknown" if that
// was not kept, with "-changed" if files had changed since.
func Commit() string {
	if commit != "" {
		return commit
	}
	revision, changed := "unknown", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				revision = s.Value
			case s.Key == "vcs.modified" && s.Value == "true":
				changed = "-changed"
			}
		}
	}
	return revision + changed
}
