package main

import (
	"runtime/debug"
	"testing"
)

func TestBuild(t *testing.T) {
	stamped := func(settings ...debug.BuildSetting) *debug.BuildInfo {
		return &debug.BuildInfo{Main: debug.Module{Version: "v0.1.0"}, Settings: settings}
	}
	at := debug.BuildSetting{Key: "vcs.revision", Value: "02c1baf"}
	for _, row := range []struct {
		version, commit string
		information     *debug.BuildInfo
		want            string
	}{
		{"", "", &debug.BuildInfo{}, "unknown"},
		{"", "", stamped(), "v0.1.0"},
		{"", "", stamped(at), "v0.1.0 (commit 02c1baf)"},
		{"", "", stamped(at, debug.BuildSetting{Key: "vcs.modified", Value: "false"}), "v0.1.0 (commit 02c1baf)"},
		{"", "", stamped(at, debug.BuildSetting{Key: "vcs.modified", Value: "true"}), "v0.1.0 (commit 02c1baf+dirty)"},
		{"3.0.0", "", stamped(at), "3.0.0 (commit 02c1baf)"},
		{"3.0.0", "cafe", stamped(at), "3.0.0 (commit cafe)"},
	} {
		if got := buildOf(row.version, row.commit, row.information).String(); got != row.want {
			t.Errorf("%q, %q: got %q, want %q", row.version, row.commit, got, row.want)
		}
	}
}
