package deploy_test

import (
	"bytes"
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
			Services map[string]struct {
				LoadBalancer struct {
					Servers     []struct{ URL string }
					HealthCheck struct{ Path, Interval, Timeout string } `yaml:"healthCheck"`
				} `yaml:"loadBalancer"`
			}
		}
	}
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	decoder.KnownFields(true)
	if err := decoder.Decode(&sample); err != nil {
		t.Fatal(err)
	}
	for name, router := range sample.HTTP.Routers {
		service, found := sample.HTTP.Services[router.Service]
		if !found || len(service.LoadBalancer.Servers) == 0 {
			t.Errorf("%s: no service %q", name, router.Service)
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
	if len(sample.HTTP.Routers) != 2 {
		t.Errorf("%d routers", len(sample.HTTP.Routers))
	}
}
