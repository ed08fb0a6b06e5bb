package testkit

import (
	"context"
	"testing"
)

// Volume is memory that is mounted as a volume.
type Volume struct {
	t    testing.TB
	Path string
}

// MountVolume mounts memory of so many bytes, such as 72m, until the test ends.
func MountVolume(t testing.TB, size string) *Volume {
	t.Helper()
	v := &Volume{t: t, Path: t.TempDir()}
	runTool(t.Context(), t, "mount", "-t", "tmpfs", "-o", "size="+size, "parsec-test", v.Path)
	t.Cleanup(func() { runTool(context.WithoutCancel(t.Context()), t, "umount", v.Path) })
	return v
}

// Remount changes how the volume is mounted: ro or rw.
func (v *Volume) Remount(how string) {
	v.t.Helper()
	runTool(v.t.Context(), v.t, "mount", "-o", "remount,"+how, v.Path)
}
