package testkit

import (
	"context"
	"os/exec"
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
	v.run(t.Context(), "mount", "-t", "tmpfs", "-o", "size="+size, "parsec-test", v.Path)
	t.Cleanup(func() { v.run(context.WithoutCancel(t.Context()), "umount", v.Path) })
	return v
}

// Remount changes how the volume is mounted: ro or rw.
func (v *Volume) Remount(how string) {
	v.t.Helper()
	v.run(v.t.Context(), "mount", "-o", "remount,"+how, v.Path)
}

func (v *Volume) run(ctx context.Context, name string, arguments ...string) {
	v.t.Helper()
	if output, err := exec.CommandContext(ctx, name, arguments...).CombinedOutput(); err != nil {
		v.t.Fatalf("%s %q: %v: %s", name, arguments, err, output)
	}
}
