package testkit

import (
	"context"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// Chromium returns an empty tab of a browser of its own, for chromedp, until
// the test ends. It asks nobody but the servers that it is sent to.
func Chromium(t testing.TB) context.Context {
	t.Helper()
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(FindProgram(t, "chromium", "apt-get install chromium")), chromedp.UserDataDir(t.TempDir()),
		chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
	}
	for _, flag := range []string{
		"disable-background-networking", "disable-component-update", "disable-dev-shm-usage", "disable-quic", "disable-sync",
	} {
		options = append(options, chromedp.Flag(flag, true))
	}
	browser, end := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(end)
	tab, end := chromedp.NewContext(browser)
	t.Cleanup(end)
	// The browser lives as long as the context that it is started with.
	defer time.AfterFunc(componentStartLimit, end).Stop()
	if err := chromedp.Do(tab, chromedp.Navigate("about:blank")); err != nil {
		t.Fatalf("start Chromium: %v", err)
	}
	return tab
}
