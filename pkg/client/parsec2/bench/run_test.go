package bench_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/bench"
	"parsec-server/pkg/client"
	bench2 "parsec-server/pkg/client/parsec2/bench"
	"parsec-server/pkg/parsec"
)

// options end a run after a few operations; the duration is not reached.
func options(instance *testkit.Instance, workload bench.Workload) bench.Options {
	return bench.Options{
		Address:             instance.Address,
		AdministrationToken: testkit.AdministrationToken,
		Workload:            workload,
		Connections:         3,
		Duration:            time.Minute,
		Operations:          50,
		Size:                100,
		API:                 3,
	}
}

func TestWorkloads(t *testing.T) {
	t.Parallel()
	instance := testkit.Start(t, testkit.InstanceOptions{})
	for _, workload := range bench2.Workloads() {
		if workload == bench.Idle {
			continue // its end is that of the context, below
		}
		for _, api := range []uint32{1, 2, 3} {
			for _, shared := range []bool{false, true} {
				given := options(instance, workload)
				given.API, given.SharedRealm = api, shared
				report, err := bench2.Run(t.Context(), given)
				if err != nil {
					t.Fatalf("%s: %v", workload, err)
				}
				want := given.Operations
				if workload == bench.Fanout {
					want *= uint64(given.Connections)
				}
				if report.Operations != want || len(report.Errors) > 0 {
					t.Errorf("%s, API %d: %d operations, errors %v", workload, api, report.Operations, report.Errors)
				}
				if report.Median <= 0 || report.Percentile95 < report.Median || report.Percentile99 < report.Percentile95 ||
					report.Longest < report.Percentile99 || report.Elapsed < report.Longest/2 {
					t.Errorf("%s: implausible %+v", workload, report)
				}
			}
		}
	}
}

// TestIdle interrupts the run once all connections are open.
func TestIdle(t *testing.T) {
	t.Parallel()
	instance := testkit.Start(t, testkit.InstanceOptions{})
	ctx, interrupt := context.WithCancel(t.Context())
	given := options(instance, bench.Idle)
	given.Sources = []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")}
	given.Connections, given.Operations = 20, 0
	given.Progress = func(progress bench.Progress) {
		if progress.Connections == 20 && progress.Operations == 20 {
			interrupt()
		}
	}
	report, err := bench2.Run(ctx, given)
	if err != nil {
		t.Fatal(err)
	}
	if report.Operations != 20 || report.Alive == nil || *report.Alive != 20 || len(report.Errors) > 0 {
		t.Errorf("%+v", report)
	}
}

// TestInterruptedRunReports checks that what was done is not lost.
func TestInterruptedRunReports(t *testing.T) {
	t.Parallel()
	instance := testkit.Start(t, testkit.InstanceOptions{})
	for _, workload := range []bench.Workload{bench.Ping, bench.Fanout, bench.Connect} {
		ctx, interrupt := context.WithCancel(t.Context())
		given := options(instance, workload)
		given.Operations = 0
		given.Progress = func(progress bench.Progress) {
			if progress.Operations > 0 {
				interrupt()
			}
		}
		report, err := bench2.Run(ctx, given)
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
	for _, workload := range []bench.Workload{bench.Ping, bench.Fanout} {
		instance := testkit.Start(t, testkit.InstanceOptions{})
		given := options(instance, workload)
		given.Operations = 0
		closed := false
		given.Progress = func(progress bench.Progress) {
			if progress.Operations > 0 && !closed {
				closed = true
				instance.Server.Shutdown(t.Context())
			}
		}
		report, err := bench2.Run(t.Context(), given)
		if err != nil {
			t.Fatalf("%s: %v", workload, err)
		}
		if report.Operations == 0 || report.Errors["going away"] == 0 || len(report.Errors) != 1 {
			t.Errorf("%s: %d operations, errors %v", workload, report.Operations, report.Errors)
		}
	}
}

// TestReconnection has a server whose connections are cut twice.
func TestReconnection(t *testing.T) {
	t.Parallel()
	instance := testkit.Start(t, testkit.InstanceOptions{})
	proxy, address := testkit.StandInFor(t, instance.Address.HTTPOrigin())
	for _, workload := range []bench.Workload{bench.Ping, bench.Mix} {
		given := options(instance, workload)
		var err error
		if given.Address, err = parsec.ParseServerAddress("parsec" + strings.TrimPrefix(address, "http") + "?no_ssl=true"); err != nil {
			t.Fatal(err)
		}
		given.Operations, given.Reconnect = 0, true
		ctx, interrupt := context.WithCancel(t.Context())
		cuts, before := 0, uint64(0)
		given.Progress = func(progress bench.Progress) {
			switch {
			case progress.Operations == before:
			case cuts == 2:
				interrupt()
			default:
				cuts++
				before = progress.Operations
				proxy.CloseConnections()
			}
		}
		report, err := bench2.Run(ctx, given)
		if err != nil {
			t.Fatalf("%s: %v", workload, err)
		}
		if report.Operations == 0 || report.Errors["connection lost"] < 2 || len(report.Errors) != 1 {
			t.Errorf("%s: %d operations, errors %v", workload, report.Operations, report.Errors)
		}
	}
}

func TestRefusedOptions(t *testing.T) {
	instance := testkit.Start(t, testkit.InstanceOptions{})
	for want, change := range map[string]func(*bench.Options){
		"address of the server":                      func(o *bench.Options) { o.Address = parsec.ServerAddress{} },
		"administration token is missing":            func(o *bench.Options) { o.AdministrationToken = "" },
		`no workload "dance", but ping, vlob-create`: func(o *bench.Options) { o.Workload = "dance" },
		"connections must be between 1 and 50000":    func(o *bench.Options) { o.Connections = 0 },
		"number of connections":                      func(o *bench.Options) { o.Connections = bench.MaxConnections + 1 },
		"duration must be positive":                  func(o *bench.Options) { o.Duration = 0 },
		"at most 24h":                                func(o *bench.Options) { o.Duration = bench.MaxDuration + 1 },
		"size must be":                               func(o *bench.Options) { o.Size = -1 },
		"between 1 and 1048576 bytes":                func(o *bench.Options) { o.Size = bench.MaxSize + 1 },
		"API must be 1, 2 or 3":                      func(o *bench.Options) { o.API = 4 },
		"workload idle cannot reconnect":             func(o *bench.Options) { o.Workload, o.Reconnect = bench.Idle, true },
		"not_allowed":                                func(o *bench.Options) { o.AdministrationToken = "wrong" },
	} {
		given := options(instance, bench.Ping)
		change(&given)
		report, err := bench2.Run(t.Context(), given)
		if report != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v", want, err)
		}
	}
}

func TestRunBeforeItsContextIsDone(t *testing.T) {
	instance := testkit.Start(t, testkit.InstanceOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := bench2.Run(ctx, options(instance, bench.Ping)); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// TestRESTAdministration has a server that refuses in the way of releases
// since 2.5.
func TestRESTAdministration(t *testing.T) {
	var authorization, body string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.Path != "/administration/organizations" {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		authorization = r.Header.Get("Authorization")
		var request struct {
			ID string `json:"organization_id"`
		}
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
			t.Error(err)
		}
		body = request.ID
		w.WriteHeader(http.StatusForbidden)
	}))
	defer server.Close()
	address, err := parsec.ParseServerAddress("parsec://" + strings.TrimPrefix(server.URL, "http://") + "?no_ssl=true")
	if err != nil {
		t.Fatal(err)
	}
	_, err = bench2.Run(t.Context(), bench.Options{
		Address: address, AdministrationToken: "s3cr3t", Workload: bench.Ping, Connections: 1, Duration: time.Minute, API: 3,
	})
	refused, ok := errors.AsType[*client.HTTPError](err)
	if !ok || refused.Status != http.StatusForbidden {
		t.Errorf("error %v", err)
	}
	if authorization != "Bearer s3cr3t" || !strings.HasPrefix(body, "bench_") {
		t.Errorf("sent %q for %q", authorization, body)
	}
}
