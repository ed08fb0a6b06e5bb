package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

func device(t *testing.T, id, label string) rules.Device {
	t.Helper()
	parsed, err := parsec.ParseDeviceID(id)
	if err != nil {
		t.Fatal(err)
	}
	d := rules.Device{ID: parsed}
	if label != "" {
		if d.Label, err = parsec.ParseDeviceLabel(label); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

func TestBootstrapRequest(t *testing.T) {
	human, err := parsec.ParseHumanHandle("alice@example.com", "Alice")
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		label string
		human parsec.HumanHandle
		want  map[string]any
	}{
		"all": {"My laptop", human, map[string]any{
			"organization_id": "Acme", "device_id": "alice@laptop", "device_label": "My laptop",
			"human_email": "alice@example.com", "human_label": "Alice",
		}},
		"nothing but ids": {"", parsec.HumanHandle{}, map[string]any{
			"organization_id": "Acme", "device_id": "alice@laptop", "device_label": nil,
			"human_email": nil, "human_label": nil,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			var got map[string]any
			var contentType string
			server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				contentType = r.Method + " " + r.Header.Get("Content-Type")
				if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
					t.Error(err)
				}
			}))
			c := New(server.URL, quiet)
			c.Bootstrapped(organizationID(t, "Acme"), device(t, "alice@laptop", test.label), test.human)
			if err := c.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			server.Close()
			if contentType != "POST application/json; charset=utf-8" || !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %s %v, want %v", contentType, got, test.want)
			}
		})
	}
}

func TestBootstrapWithoutAddress(t *testing.T) {
	c := New("", quiet)
	c.Bootstrapped(organizationID(t, "Acme"), device(t, "alice@laptop", ""), parsec.HumanHandle{})
	if err := c.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// answers returns one status a call, the last one for ever; 0 is no answer.
func answers(calls *[]time.Time, statuses ...int) roundTripper {
	return func(request *http.Request) (*http.Response, error) {
		status := statuses[min(len(*calls), len(statuses)-1)]
		*calls = append(*calls, time.Now())
		if status == 0 {
			return hang(request)
		}
		return &http.Response{
			StatusCode: status, Header: http.Header{}, Request: request, Body: io.NopCloser(strings.NewReader("")),
		}, nil
	}
}

func TestBootstrapRetries(t *testing.T) {
	for name, test := range map[string]struct {
		statuses []int
		// want is when the calls begin.
		want []time.Duration
	}{
		"accepted":      {[]int{204}, []time.Duration{0}},
		"second try":    {[]int{500, 200}, []time.Duration{0, 2 * time.Second}},
		"after silence": {[]int{0, 200}, []time.Duration{0, callLimit + 2*time.Second}},
		"never": {[]int{404}, []time.Duration{
			0, 2 * time.Second, 6 * time.Second, 14 * time.Second, 30 * time.Second,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var calls []time.Time
				c := newWebhooks("http://localhost/", answers(&calls, test.statuses...))
				begin := time.Now()
				c.Bootstrapped(organizationID(t, "Acme"), device(t, "alice@laptop", ""), parsec.HumanHandle{})
				if err := c.Close(t.Context()); err != nil {
					t.Fatal(err)
				}
				var got []time.Duration
				for _, call := range calls {
					got = append(got, call.Sub(begin))
				}
				if !reflect.DeepEqual(got, test.want) {
					t.Errorf("got calls at %v, want %v", got, test.want)
				}
			})
		})
	}
}

func TestBootstrapQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun, end, calls := make(chan struct{}), make(chan struct{}), 0
		c := newWebhooks("http://localhost/", roundTripper(func(request *http.Request) (*http.Response, error) {
			if calls++; calls == 1 {
				close(begun)
				<-end
			}
			return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Request: request, Body: http.NoBody}, nil
		}))
		tell := func(n int) {
			c.Bootstrapped(organizationID(t, fmt.Sprintf("Org%d", n)), device(t, "alice@laptop", ""), parsec.HumanHandle{})
		}
		tell(0)
		<-begun
		for n := range 2 * maxBootstraps {
			tell(n)
		}
		close(end)
		if err := c.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if calls != 1+maxBootstraps {
			t.Errorf("%d calls, want %d", calls, 1+maxBootstraps)
		}
		tell(0) // After Close: dropped.
	})
}

func TestCloseGivesUp(t *testing.T) {
	for name, statuses := range map[string][]int{"during a call": {0}, "between two tries": {500}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var calls []time.Time
				c := newWebhooks("http://localhost/", answers(&calls, statuses...))
				for range 10 {
					c.Bootstrapped(organizationID(t, "Acme"), device(t, "alice@laptop", ""), parsec.HumanHandle{})
				}
				begin := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if err := c.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %v", err)
				}
				if lasted := time.Since(begin); lasted != time.Second {
					t.Errorf("lasted %v", lasted)
				}
			})
		})
	}
}
