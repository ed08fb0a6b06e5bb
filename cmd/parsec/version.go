package main

import (
	"cmp"
	"runtime/debug"
)

// version and commit are stamped with
// -ldflags "-X main.version=<version> -X main.commit=<commit>".
var version, commit string

// build says which program this is.
type build struct{ version, commit string }

// String returns what --version prints.
func (b build) String() string {
	if b.commit == "" {
		return b.version
	}
	return b.version + " (commit " + b.commit + ")"
}

// stampedBuild falls back on what the Go tool knows of this build.
func stampedBuild() build {
	information, found := debug.ReadBuildInfo()
	if !found {
		information = &debug.BuildInfo{}
	}
	return buildOf(version, commit, information)
}

func buildOf(version, commit string, information *debug.BuildInfo) build {
	return build{cmp.Or(version, information.Main.Version, "unknown"), cmp.Or(commit, revision(information))}
}

// revision returns the commit that the Go tool stamped, marked if files were
// changed since.
func revision(information *debug.BuildInfo) string {
	var commit, mark string
	for _, setting := range information.Settings {
		switch {
		case setting.Key == "vcs.revision":
			commit = setting.Value
		case setting.Key == "vcs.modified" && setting.Value == "true":
			mark = "+dirty"
		}
	}
	if commit == "" {
		return ""
	}
	return commit + mark
}
