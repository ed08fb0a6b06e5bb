package bench_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/bench"
	bench3 "parsec-server/pkg/client/parsec3/bench"
	"parsec-server/pkg/parsec"
)

// options end a run after a few operations; the duration is not reached.
func options(server *testkit.Generations, workload bench.Workload) bench.Options {
	return bench.Options{
		Address:             server.Address,
		AdministrationToken: testkit.AdministrationToken,
		Workload:            workload,
		Connections:         3,
		Duration:            time.Minute,
		Operations:          50,
		Size:                100,
		API:                 5,
	}
}

func TestWorkloads(t *testing.T) {
	t.Parallel()
	server := testkit.StartGenerations(t, testkit.GenerationsOptions{})
	for _, workload := range bench3.Workloads() {
		for _, shared := range []bool{false, true} {
			given := options(server, workload)
			given.SharedRealm = shared
			given.Sources = []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")}
			report, err := bench3.Run(t.Context(), given)
			if err != nil {
				t.Fatalf("%s: %v", workload, err)
			}
			want := given.Operations
			if workload == bench.Fanout {
				want *= uint64(given.Connections)
			}
			if report.Operations != want || len(report.Errors) > 0 || report.API != 5 || report.Workload != string(workload) {
				t.Errorf("%s: %+v", workload, report)
			}
			if report.Median <= 0 || report.Longest < report.Percentile99 || report.Elapsed < report.Longest/2 {
				t.Errorf("%s: implausible %+v", workload, report)
			}
		}
	}
}

// TestInterruptedRunReports checks that what was done is not lost.
func TestInterruptedRunReports(t *testing.T) {
	t.Parallel()
	server := testkit.StartGenerations(t, testkit.GenerationsOptions{})
	for _, workload := range []bench.Workload{bench.Ping, bench.Fanout} {
		ctx, interrupt := context.WithCancel(t.Context())
		given := options(server, workload)
		given.Operations = 0
		given.Progress = func(progress bench.Progress) {
			if progress.Operations > 0 && progress.Connections >= 3 {
				interrupt()
			}
		}
		report, err := bench3.Run(ctx, given)
		if err != nil {
			t.Fatalf("%s: %v", workload, err)
		}
		if report.Operations == 0 || len(report.Errors) > 0 {
			t.Errorf("%s: %d operations, errors %v", workload, report.Operations, report.Errors)
		}
	}
}

// TestLostConnectionsEndTheRun closes the server under the load.
func TestLostConnectionsEndTheRun(t *testing.T) {
	t.Parallel()
	for workload, want := range map[bench.Workload][]string{
		bench.Ping: {"HTTP 503", "connection lost"}, bench.Fanout: {"stream ended", "connection lost"},
	} {
		server := testkit.StartGenerations(t, testkit.GenerationsOptions{})
		given := options(server, workload)
		given.Operations = 0
		closed := false
		given.Progress = func(progress bench.Progress) {
			if progress.Operations > 0 && !closed {
				closed = true
				server.Server.Shutdown(t.Context())
			}
		}
		report, err := bench3.Run(t.Context(), given)
		if err != nil {
			t.Fatalf("%s: %v", workload, err)
		}
		if report.Operations == 0 || report.Errors[want[0]]+report.Errors[want[1]] == 0 {
			t.Errorf("%s: %d operations, errors %v", workload, report.Operations, report.Errors)
		}
	}
}

func TestWrongOptions(t *testing.T) {
	t.Parallel()
	server := testkit.StartGenerations(t, testkit.GenerationsOptions{})
	for want, change := range map[string]func(*bench.Options){
		"the API must be 5":         func(o *bench.Options) { o.API = 3 },
		"no workload \"connect\"":   func(o *bench.Options) { o.Workload = bench.Connect },
		"number of connections":     func(o *bench.Options) { o.Connections = 0 },
		"fanout cannot reconnect":   func(o *bench.Options) { o.Workload, o.Reconnect = bench.Fanout, true },
		"not_allowed":               func(o *bench.Options) { o.AdministrationToken = "wrong" },
		"the duration must be":      func(o *bench.Options) { o.Duration = 0 },
		"the administration token":  func(o *bench.Options) { o.AdministrationToken = "" },
		"the address of the server": func(o *bench.Options) { o.Address = parsec.ServerAddress{} },
	} {
		given := options(server, bench.Ping)
		change(&given)
		if report, err := bench3.Run(t.Context(), given); err == nil || report != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := bench3.Run(ctx, options(server, bench.Ping)); !errors.Is(err, context.Canceled) {
		t.Errorf("a run that is over: %v", err)
	}
}
