package blockstore

import (
	"context"
	"crypto/md5" //nolint:gosec // The Swift API says MD5; clients authenticate blocks.
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ncw/swift/v2"

	"parsec-server/pkg/backend"
	"parsec-server/pkg/parsec"
)

const (
	// domainOfUsers is that of users and tenants where authentication is v3.
	domainOfUsers = "Default"
	// tokenMargin is how long before its end a token is not used any more.
	tokenMargin = time.Minute
	// maxDrainedBytes is how much of an answer is read for the connection's
	// sake.
	maxDrainedBytes = 64 << 10
	// maxListBytes is above what a list of the longest names takes.
	maxListBytes = 16 << 20
)

var _ Inventory = (*Swift)(nil)

// SwiftOptions say where a container is.
type SwiftOptions struct {
	// AuthURL tells the version of authentication by an element of its path:
	// 3 or 2 if one starts with v3 or v2 (user and tenant apart, in the domain
	// Default for 3), else 1 (<user>:<tenant>).
	AuthURL   string
	Tenant    string
	Container string
	User      string
	Password  string
	// RootCAs verify the servers' certificates; those of the system if nil.
	RootCAs *x509.CertPool
}

// Swift keeps blocks in a container (docs/protocol/blockstore.md §3). Its
// methods are safe for concurrent use, try once, but for a token that has
// expired, and are limited by their contexts only.
type Swift struct {
	client    *http.Client
	container string
	host      string
	session   atomic.Pointer[swiftSession]
	// turn is held by who authenticates; it guards connection.
	turn       chan struct{}
	connection *swift.Connection
}

// swiftSession is what an authentication gives.
type swiftSession struct {
	storage *url.URL
	token   string
	// expires is zero if unknown.
	expires time.Time
}

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
	client := newHTTPClient(options.RootCAs)
	connection := &swift.Connection{
		AuthUrl:     options.AuthURL,
		AuthVersion: authenticationVersion(address.Path),
		UserName:    options.User,
		Tenant:      options.Tenant,
		Domain:      domainOfUsers,
		ApiKey:      options.Password,
		Transport:   client.Transport,
	}
	if connection.AuthVersion == 1 {
		connection.UserName = options.User + ":" + options.Tenant
	}
	return &Swift{
		client:     client,
		container:  options.Container,
		host:       address.Host,
		turn:       make(chan struct{}, 1),
		connection: connection,
	}, nil
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

// String names the container in logs.
func (s *Swift) String() string { return "Swift container " + s.container + " at " + s.host }

// Read implements backend.BlockStore.
func (s *Swift) Read(ctx context.Context, organization parsec.OrganizationID, id parsec.BlockID, checksum *backend.BlockChecksum, into ...[]byte) error {
	err := readEither(key{organization, id}, func(name string) error {
		return s.read(ctx, name, checksum, into)
	})
	if errors.Is(err, backend.ErrBlockNotFound) {
		// The answer is the same when there is no container.
		if err := s.Ready(ctx); err != nil {
			return err
		}
	}
	return err
}

func (s *Swift) read(ctx context.Context, name string, checksum *backend.BlockChecksum, into [][]byte) error {
	response, err := s.request(ctx, http.MethodGet, "/"+name, nil, nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusNotFound {
		drain(response)
		return backend.ErrBlockNotFound
	}
	if response.StatusCode != http.StatusOK {
		return s.refusal(response)
	}
	if err := readObject(response.Body, response.ContentLength, checksum, into); err != nil {
		return fmt.Errorf("%s: %w", s, err)
	}
	if checksum != nil {
		return nil // It tells more than the one that the server gives.
	}
	// A proxy may be set to quote it.
	if sum := strings.Trim(response.Header.Get("Etag"), `"`); sum != entityTag(into...) {
		return fmt.Errorf("%s: %w: its checksum is not %q", s, errDamaged, sum)
	}
	return nil
}

// Create implements backend.BlockStore.
func (s *Swift) Create(ctx context.Context, organization parsec.OrganizationID, id parsec.BlockID, block []byte) error {
	response, err := s.request(ctx, http.MethodPut, "/"+key{organization, id}.objectName(), nil, block)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusCreated:
		drain(response)
		return nil
	case http.StatusNotFound:
		drain(response)
		return s.noContainer()
	default:
		return s.refusal(response)
	}
}

// List implements Inventory.
func (s *Swift) List(ctx context.Context, prefix, after string) ([]Object, error) {
	query := url.Values{"format": {"json"}, "limit": {strconv.Itoa(listedAtOnce)}, "prefix": {prefix}, "marker": {after}}
	response, err := s.request(ctx, http.MethodGet, "", query, nil)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusNoContent:
		return nil, nil
	case http.StatusNotFound:
		drain(response)
		return nil, s.noContainer()
	default:
		return nil, s.refusal(response)
	}
	var listed []struct {
		Name     string `json:"name"`
		Bytes    int64  `json:"bytes"`
		Modified string `json:"last_modified"`
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, maxListBytes)).Decode(&listed); err != nil {
		return nil, fmt.Errorf("%s: read a list of objects: %w", s, err)
	}
	drain(response)
	objects := make([]Object, len(listed))
	for i, object := range listed {
		// In UTC, without saying so.
		modified, err := time.Parse("2006-01-02T15:04:05.999999", object.Modified)
		if err != nil {
			return nil, fmt.Errorf("%s: the date of an object: %w", s, err)
		}
		objects[i] = Object{object.Name, object.Bytes, modified}
	}
	return objects, nil
}

// Delete implements Inventory.
func (s *Swift) Delete(ctx context.Context, name string) error {
	response, err := s.request(ctx, http.MethodDelete, "/"+name, nil, nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode/100 != 2 && response.StatusCode != http.StatusNotFound {
		return s.refusal(response)
	}
	drain(response)
	return nil
}

// Ready implements backend.BlockStore: the container exists and the
// credentials open it.
func (s *Swift) Ready(ctx context.Context) error {
	response, err := s.request(ctx, http.MethodHead, "", nil, nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	switch {
	case response.StatusCode == http.StatusNotFound:
		return s.noContainer()
	case response.StatusCode/100 != 2:
		return s.refusal(response)
	default:
		return nil
	}
}

// Init creates the container unless it exists.
func (s *Swift) Init(ctx context.Context) error {
	response, err := s.request(ctx, http.MethodPut, "", nil, []byte{})
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode/100 != 2 {
		return s.refusal(response)
	}
	drain(response)
	return nil
}

// request asks for the container, or for what path names in it, once more if
// the token has expired. The caller closes the body of the response.
func (s *Swift) request(ctx context.Context, method, path string, query url.Values, block []byte) (*http.Response, error) {
	session, err := s.open(ctx, nil)
	if err != nil {
		return nil, err
	}
	response, err := s.send(ctx, session, method, path, query, block)
	if err != nil || response.StatusCode != http.StatusUnauthorized {
		return response, err
	}
	drain(response)
	response.Body.Close()
	if session, err = s.open(ctx, session); err != nil {
		return nil, err
	}
	return s.send(ctx, session, method, path, query, block)
}

// send has nothing read block after it has returned.
func (s *Swift) send(ctx context.Context, session *swiftSession, method, path string, query url.Values, block []byte) (*http.Response, error) {
	address := *session.storage
	address.Path = strings.TrimSuffix(address.Path, "/") + "/" + s.container + path
	address.RawQuery = query.Encode()
	request, err := http.NewRequestWithContext(ctx, method, address.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s, err)
	}
	request.Header.Set("X-Auth-Token", session.token)
	if len(block) > 0 {
		body := newUploadBody(block)
		defer body.release()
		request.Body = body
		request.ContentLength = int64(len(block))
	}
	if method == http.MethodPut && path != "" {
		// The server refuses what arrives otherwise than it left.
		request.Header.Set("Etag", entityTag(block))
	}
	response, err := s.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s, err)
	}
	return response, nil
}

// open gives the session, a new one if there is none, if it is about to expire
// or if it is the one that was refused.
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
	if err := s.connection.Authenticate(ctx); err != nil {
		return nil, s.authenticationFailure(err)
	}
	storage, err := url.Parse(s.connection.StorageUrl)
	if err != nil {
		return nil, fmt.Errorf("%s: the server's storage address is not a URL", s)
	}
	session := &swiftSession{storage: storage, token: s.connection.AuthToken, expires: s.connection.Expires}
	s.session.Store(session)
	return session, nil
}

func (s *swiftSession) usable(refused *swiftSession) bool {
	return s != nil && s != refused && (s.expires.IsZero() || time.Until(s.expires) > tokenMargin)
}

func (s *Swift) authenticationFailure(err error) error {
	named := fmt.Errorf("%s: authenticate: %w", s, err)
	if answer := (*swift.Error)(nil); errors.As(err, &answer) {
		return ofStatus(answer.StatusCode, named)
	}
	return named
}

// refusal is the error of a status that nothing expects.
func (s *Swift) refusal(response *http.Response) error {
	drain(response)
	hint := ""
	if response.StatusCode == http.StatusUnauthorized || response.StatusCode == http.StatusForbidden {
		hint = ": access denied, check the tenant, the user, the password and the permissions"
	}
	return ofStatus(response.StatusCode, fmt.Errorf("%s: the server answers %s%s", s, response.Status, hint))
}

func (s *Swift) noContainer() error {
	return &permanentError{fmt.Errorf("%s: no such container, create it with `%s`", s, initCommand)}
}

// drain reads a short answer to its end, which gives the connection back.
func drain(response *http.Response) {
	_, _ = io.CopyN(io.Discard, response.Body, maxDrainedBytes) // A connection that fails here is not used again.
}

// entityTag is the checksum that Swift keeps of an object.
func entityTag(parts ...[]byte) string {
	sum := md5.New() //nolint:gosec // The Swift API says MD5.
	for _, part := range parts {
		sum.Write(part)
	}
	return hex.EncodeToString(sum.Sum(nil))
}
