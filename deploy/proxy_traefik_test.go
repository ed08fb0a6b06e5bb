package deploy_test

import (
	"bytes"
	"maps"
	"os"
	"slices"
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestTraefik reads the sample, which is not run: the fields are those of
// Traefik's file provider, and what they name exists.
func TestTraefik(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("traefik/parsec.yml")
	if err != nil {
		t.Fatal(err)
	}
	var sample struct {
		HTTP struct {
			Routers map[string]struct {
				Rule        string
				Priority    int
				EntryPoints []string `yaml:"entryPoints"`
				Middlewares []string
				Service     string
				TLS         *struct {
					CertResolver string `yaml:"certResolver"`
				}
			}
			Middlewares map[string]struct {
				RedirectScheme struct {
					Scheme    string
					Permanent bool
				} `yaml:"redirectScheme"`
			}
			Services map[string]traefikService
		}
	}
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	decoder.KnownFields(true)
	if err := decoder.Decode(&sample); err != nil {
		t.Fatal(err)
	}
	services := sample.HTTP.Services
	for name, router := range sample.HTTP.Routers {
		service, found := services[router.Service]
		if !found || (service.Failover == nil) == (service.LoadBalancer == nil) {
			t.Errorf("%s: no service %q", name, router.Service)
		}
		if name == "nobody" {
			if router.Rule != "PathPrefix(`/`)" || router.Priority != 1 || router.TLS == nil || service.LoadBalancer == nil || len(service.LoadBalancer.Servers) > 0 {
				t.Errorf("what nobody takes: %+v, %+v", router, service)
			}
			continue
		}
		if router.Priority != 0 { // which is the length of the rule
			t.Errorf("%s: priority %d", name, router.Priority)
		}
		if router.Rule != "Host(`"+domain+"`)" || (router.TLS != nil) != slices.Contains(router.EntryPoints, "websecure") {
			t.Errorf("%s: %+v", name, router)
		}
		for _, middleware := range router.Middlewares {
			if sample.HTTP.Middlewares[middleware].RedirectScheme.Scheme != "https" {
				t.Errorf("%s: no middleware %q", name, middleware)
			}
		}
		if router.TLS == nil && len(router.Middlewares) == 0 {
			t.Errorf("%s serves in clear", name)
		}
	}
	if len(sample.HTTP.Routers) != 3 {
		t.Errorf("%d routers", len(sample.HTTP.Routers))
	}
	// Whoever asks whether a server is ready goes to those that live if none is.
	for name, service := range services {
		if service.asks() == "/readyz" && !slices.ContainsFunc(slices.Collect(maps.Values(services)), func(other traefikService) bool {
			return other.Failover != nil && other.Failover.Service == name && services[other.Failover.Fallback].asks() == "/healthz" &&
				slices.Equal(services[other.Failover.Fallback].LoadBalancer.Servers, service.LoadBalancer.Servers)
		}) {
			t.Errorf("%s: nothing stands in for it", name)
		}
	}
}

// traefikService is of one kind.
type traefikService struct {
	Failover     *struct{ Service, Fallback string }
	LoadBalancer *struct {
		Servers     []traefikServer
		HealthCheck *struct{ Path, Interval, Timeout string } `yaml:"healthCheck"`
	} `yaml:"loadBalancer"`
}

type traefikServer struct{ URL string }

// asks returns what is asked of the servers, "" for nothing.
func (s traefikService) asks() string {
	if s.LoadBalancer == nil || s.LoadBalancer.HealthCheck == nil {
		return ""
	}
	return s.LoadBalancer.HealthCheck.Path
}
