package traces

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// Lookup finds a variable of the environment, as os.LookupEnv does.
type Lookup func(name string) (text string, found bool)

// The time that the collector has to take spans.
const (
	defaultTimeout = 10 * time.Second
	maxTimeout     = time.Minute
)

// collector is where spans go.
type collector struct {
	url     string
	headers http.Header
	timeout time.Duration
	tls     *tls.Config // nil for that of Go
}

// collectorOf reads the variables of the OTLP exporter; those of the sampler,
// the batches and the resource are read by the SDK. Errors hold no value, which
// may be a secret. It returns nil if nobody asked for traces.
func collectorOf(lookup Lookup) (*collector, error) {
	get := func(name string) string {
		text, _ := lookup(name)
		return strings.TrimSpace(text)
	}
	name := "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	endpoint := get(name)
	if endpoint == "" {
		name = "OTEL_EXPORTER_OTLP_ENDPOINT"
		if endpoint = get(name); endpoint != "" {
			endpoint = strings.TrimSuffix(endpoint, "/") + "/v1/traces"
		}
	}
	exporter := get("OTEL_TRACES_EXPORTER")
	if endpoint == "" || exporter == "none" || strings.EqualFold(get("OTEL_SDK_DISABLED"), "true") {
		return nil, nil
	}
	if exporter != "" && exporter != "otlp" {
		return nil, invalid("OTEL_TRACES_EXPORTER", "must be otlp or none")
	}
	if address, err := url.Parse(endpoint); err != nil || (address.Scheme != "http" && address.Scheme != "https") || address.Hostname() == "" {
		return nil, invalid(name, "must be an http or https URL")
	}
	// specific prefers the variable that is for traces alone.
	specific := func(end string) (name, text string) {
		if name = "OTEL_EXPORTER_OTLP_TRACES_" + end; get(name) == "" {
			name = "OTEL_EXPORTER_OTLP_" + end
		}
		return name, get(name)
	}
	if name, protocol := specific("PROTOCOL"); protocol != "" && protocol != "http/protobuf" {
		return nil, invalid(name, "must be http/protobuf")
	}
	c := &collector{url: endpoint, headers: http.Header{}, timeout: defaultTimeout}
	if name, text := specific("TIMEOUT"); text != "" {
		milliseconds, err := strconv.Atoi(text)
		if err != nil || milliseconds < 1 || milliseconds > int(maxTimeout.Milliseconds()) {
			return nil, invalid(name, fmt.Sprintf("must be 1 to %d milliseconds", maxTimeout.Milliseconds()))
		}
		c.timeout = time.Duration(milliseconds) * time.Millisecond
	}
	if name, text := specific("HEADERS"); text != "" {
		for pair := range strings.SplitSeq(text, ",") {
			key, value, found := strings.Cut(pair, "=")
			value, err := url.PathUnescape(strings.TrimSpace(value))
			if key = strings.TrimSpace(key); !found || key == "" || err != nil {
				return nil, invalid(name, "must be `<name>=<value>,…`")
			}
			c.headers.Set(key, value)
		}
	}
	if name, path := specific("CERTIFICATE"); path != "" {
		authorities, err := os.ReadFile(path)
		if err != nil {
			return nil, invalid(name, err.Error())
		}
		c.tls = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
		if !c.tls.RootCAs.AppendCertsFromPEM(authorities) {
			return nil, invalid(name, "no certificate in PEM")
		}
	}
	return c, nil
}

func invalid(name, reason string) error {
	return fmt.Errorf("Invalid value for %s: %s", name, reason) //nolint:staticcheck // as every setting
}
