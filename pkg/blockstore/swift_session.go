package blockstore

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ncw/swift/v2"
)

const (
	// defaultDomain is that of users and tenants where none is given.
	defaultDomain = "Default"
	// maxCatalogBytes bounds what an authentication answers: catalogs of large
	// providers have some hundred KiB.
	maxCatalogBytes = 4 << 20
)

// SwiftOptions say where a container is.
type SwiftOptions struct {
	// AuthURL names the version of authentication by an element of its path:
	// 3 or 2 if one starts with v3 or v2 (user and tenant apart), else 1
	// (<user>:<tenant>). Its query may have parameters, each once:
	//
	//   - region is where the container is, among those of the provider (2, 3);
	//   - domain is that of the user and of the tenant, by name, instead of
	//     Default (3);
	//   - project_domain is that of the tenant, where it is another (3);
	//   - application_credential is the id of one, of which Password is the
	//     secret; User and Tenant, which it stands for, are empty then (3).
	AuthURL   string
	Tenant    string
	Container string
	User      string
	Password  string
	// RootCAs verify the servers' certificates; those of the system if nil.
	RootCAs *x509.CertPool
}

// swiftParameters are those that the query of an address may have, and the
// first version of authentication that knows each.
var swiftParameters = map[string]int{"region": 2, "domain": 3, "project_domain": 3, "application_credential": 3}

// NewSwift returns a store without connecting to it. It fails for options that
// no server could make work.
func NewSwift(options SwiftOptions) (*Swift, error) {
	address, err := url.Parse(options.AuthURL)
	if err != nil || address.Hostname() == "" {
		return nil, errors.New("the Swift authentication address is not a URL")
	}
	if options.Container == "" {
		return nil, errors.New("the Swift container has no name")
	}
	version := authenticationVersion(address.Path)
	parameters, err := parseSwiftParameters(address.RawQuery, version)
	if err != nil {
		return nil, err
	}
	address.RawQuery = ""
	client := newHTTPClient(options.RootCAs)
	catalog := &catalogReader{RoundTripper: client.Transport}
	connection := &swift.Connection{
		AuthUrl:      address.String(),
		AuthVersion:  version,
		UserName:     options.User,
		Tenant:       options.Tenant,
		Domain:       defaultDomain,
		TenantDomain: parameters["project_domain"],
		Region:       parameters["region"],
		ApiKey:       options.Password,
		Transport:    catalog,
	}
	if domain := parameters["domain"]; domain != "" {
		connection.Domain = domain
	}
	if version == 1 {
		connection.UserName = options.User + ":" + options.Tenant
	}
	if id := parameters["application_credential"]; id != "" {
		if options.User != "" || options.Tenant != "" {
			return nil, errors.New("a Swift application credential stands for its user and tenant: leave both empty")
		}
		connection.ApplicationCredentialId, connection.ApplicationCredentialSecret = id, options.Password
	}
	return &Swift{
		client:     client,
		container:  options.Container,
		host:       address.Host,
		region:     parameters["region"],
		turn:       make(chan struct{}, 1),
		connection: connection,
		catalog:    catalog,
	}, nil
}

func parseSwiftParameters(query string, version int) (map[string]string, error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, errors.New("the Swift authentication address is not a URL")
	}
	parameters := make(map[string]string)
	for name, given := range values {
		first, known := swiftParameters[name]
		switch {
		case !known:
			return nil, fmt.Errorf("the Swift authentication address has the parameter %q, and may have region, domain, project_domain and application_credential only", name)
		case len(given) != 1 || given[0] == "":
			return nil, fmt.Errorf("the Swift authentication address must give %s one value", name)
		case version < first:
			return nil, fmt.Errorf("the Swift authentication address gives %s, which version %d of authentication does not have: does its path end with /v3?", name, version)
		}
		parameters[name] = given[0]
	}
	return parameters, nil
}

// authenticationVersion looks at the path only: a v2 in the name of a host
// means nothing.
func authenticationVersion(path string) int {
	for element := range strings.SplitSeq(path, "/") {
		switch {
		case strings.HasPrefix(element, "v3"):
			return 3
		case strings.HasPrefix(element, "v2"):
			return 2
		}
	}
	return 1
}

// String names the container in logs, and the host that has it as soon as the
// authentication has told it.
func (s *Swift) String() string {
	name := "Swift container " + s.container + " at "
	if session := s.session.Load(); session != nil && session.storage.Host != s.host {
		return name + session.storage.Host + " by " + s.host
	}
	return name + s.host
}

// swiftSession is what an authentication returns.
type swiftSession struct {
	storage *url.URL
	token   string
	// expires is zero if unknown.
	expires time.Time
	// regions have the service; none where the version of authentication does
	// not tell.
	regions []string
}

func (s *swiftSession) usable(refused *swiftSession) bool {
	return s != nil && s != refused && (s.expires.IsZero() || time.Until(s.expires) > tokenMargin)
}

// severalRegions reports whether there are and none was chosen.
func (s *swiftSession) severalRegions(chosen string) bool {
	return s != nil && chosen == "" && len(s.regions) > 1
}

// open returns the session, a new one if there is none, if it is about to
// expire or if it is the one that was refused.
func (s *Swift) open(ctx context.Context, refused *swiftSession) (*swiftSession, error) {
	if session := s.session.Load(); session.usable(refused) {
		return session, nil
	}
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return nil, fmt.Errorf("%s: wait for authentication: %w", s, context.Cause(ctx))
	}
	if session := s.session.Load(); session.usable(refused) {
		return session, nil
	}
	err := s.connection.Authenticate(ctx)
	regions := s.catalog.regions()
	if s.region != "" && len(regions) > 0 && !slices.Contains(regions, s.region) {
		return nil, &permanentError{fmt.Errorf("%s: the region %q does not have the service, which there is in %s", s, s.region, strings.Join(regions, ", "))}
	}
	if err != nil {
		return nil, s.authenticationFailure(err)
	}
	storage, err := url.Parse(s.connection.StorageUrl)
	if err != nil {
		return nil, fmt.Errorf("%s: the server's storage address is not a URL", s)
	}
	session := &swiftSession{storage: storage, token: s.connection.AuthToken, expires: s.connection.Expires, regions: regions}
	s.session.Store(session)
	return session, nil
}

func (s *Swift) authenticationFailure(err error) error {
	named := fmt.Errorf("%s: authenticate: %w", s, err)
	if answer := (*swift.Error)(nil); errors.As(err, &answer) {
		return ofStatus(answer.StatusCode, named)
	}
	return named
}

// catalogReader takes note of the regions in the catalog that an authentication
// answers, of which the library chooses one without a word.
type catalogReader struct {
	http.RoundTripper
	last atomic.Pointer[swiftCatalog]
}

// swiftCatalog is that of version 3, and that of version 2.
type swiftCatalog struct {
	Token struct {
		Catalog []catalogService `json:"catalog"`
	} `json:"token"`
	Access struct {
		ServiceCatalog []catalogService `json:"serviceCatalog"`
	} `json:"access"`
}

type catalogService struct {
	Type      string `json:"type"`
	Endpoints []struct {
		Interface string `json:"interface"` // In version 3.
		Region    string `json:"region"`
	} `json:"endpoints"`
}

// RoundTrip implements http.RoundTripper.
func (c *catalogReader) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := c.RoundTripper.RoundTrip(request)
	if err != nil || request.Method != http.MethodPost {
		return response, err
	}
	c.last.Store(nil)
	body, err := io.ReadAll(io.LimitReader(response.Body, maxCatalogBytes))
	_ = response.Body.Close() // It was read.
	if err != nil {
		return nil, err
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	catalog := new(swiftCatalog)
	if json.Unmarshal(body, catalog) == nil { // Refusals are no catalogs.
		c.last.Store(catalog)
	}
	return response, nil
}

// regions returns the regions of the last catalog that have the service, in
// order.
func (c *catalogReader) regions() []string {
	catalog := c.last.Load()
	if catalog == nil {
		return nil
	}
	var regions []string
	for _, service := range slices.Concat(catalog.Token.Catalog, catalog.Access.ServiceCatalog) {
		for _, endpoint := range service.Endpoints {
			if service.Type == "object-store" && endpoint.Region != "" && (endpoint.Interface == "public" || endpoint.Interface == "") {
				regions = append(regions, endpoint.Region)
			}
		}
	}
	slices.Sort(regions)
	return slices.Compact(regions)
}
