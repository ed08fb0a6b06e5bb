package blockstore

import (
	"context"
	"crypto/md5" //nolint:gosec // The Swift API says MD5; clients authenticate blocks.
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

	"parsec-server/pkg/parsec"
)

const (
	// tokenMargin is how long before its end a token is not used any more.
	tokenMargin = time.Minute
	// maxDrainedBytes is how much of an answer is read for the connection's
	// sake.
	maxDrainedBytes = 64 << 10
	// maxListBytes is above what a list of the longest names takes.
	maxListBytes = 16 << 20
)

// errNoContainer ends with what to do about it.
var errNoContainer = errors.New("no such container")

const createContainer = "create it with `" + initCommand + "`"

var _ Inventory = (*Swift)(nil)

// Swift keeps blocks in a container (docs/protocol/blockstore.md §3). Its
// methods are safe for concurrent use, try once, but for a token that has
// expired, and are limited by their contexts only.
type Swift struct {
	client    *http.Client
	container string
	// host and region are those of the authentication; the region is "" where
	// none was chosen.
	host, region string
	session      atomic.Pointer[swiftSession]
	// turn is held by who authenticates; it guards connection.
	turn       chan struct{}
	connection *swift.Connection
	catalog    *catalogReader
}

// Read implements Store.
func (s *Swift) Read(ctx context.Context, organization parsec.OrganizationID, id parsec.BlockID, checksum *Checksum, into ...[]byte) error {
	err := readEither(key{organization, id}, func(name string) error {
		return s.read(ctx, name, checksum, into)
	})
	if errors.Is(err, ErrNotFound) {
		// The answer is the same when there is no container.
		if err := s.Ready(ctx); err != nil {
			return err
		}
	}
	return err
}

func (s *Swift) read(ctx context.Context, name string, checksum *Checksum, into [][]byte) error {
	response, err := s.request(ctx, http.MethodGet, "/"+name, nil, nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusNotFound {
		drain(response)
		return ErrNotFound
	}
	if response.StatusCode != http.StatusOK {
		return s.refusal(response)
	}
	if err := readObject(response.Body, response.ContentLength, checksum, into); err != nil {
		return fmt.Errorf("%s: %w", s, err)
	}
	if checksum != nil {
		return nil // It says more than the error of the server.
	}
	// A proxy may be set to quote it.
	if sum := strings.Trim(response.Header.Get("Etag"), `"`); sum != entityTag(into...) {
		return fmt.Errorf("%s: %w: its checksum is not %q", s, errDamaged, sum)
	}
	return nil
}

// Create implements Store.
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

// Ready implements Store: the container exists and the
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

// Init creates the container unless it exists and can be used: the rights that
// this needs are those of Ready. It creates none where it was not chosen in
// which of several regions.
func (s *Swift) Init(ctx context.Context) error {
	if err := s.Ready(ctx); !errors.Is(err, errNoContainer) || s.session.Load().severalRegions(s.region) {
		return err
	}
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

// refusal returns the error of a status that nothing expects.
func (s *Swift) refusal(response *http.Response) error {
	drain(response)
	hint := ""
	if response.StatusCode == http.StatusUnauthorized || response.StatusCode == http.StatusForbidden {
		hint = ": access denied, check the tenant, the user, the password and the permissions"
	}
	return ofStatus(response.StatusCode, fmt.Errorf("%s: the server answers %s%s", s, response.Status, hint))
}

func (s *Swift) noContainer() error {
	hint := createContainer
	if session := s.session.Load(); session.severalRegions(s.region) {
		hint = fmt.Sprintf("choose its region by `?region=` at the end of the address, one of %s", strings.Join(session.regions, ", "))
	}
	return &permanentError{fmt.Errorf("%s: %w, %s", s, errNoContainer, hint)}
}

// drain reads a short answer to its end, which gives the connection back.
func drain(response *http.Response) {
	_, _ = io.CopyN(io.Discard, response.Body, maxDrainedBytes) // A connection that fails here is not used again.
}

// entityTag returns the checksum that Swift keeps of an object.
func entityTag(parts ...[]byte) string {
	sum := md5.New() //nolint:gosec // The Swift API says MD5.
	for _, part := range parts {
		sum.Write(part)
	}
	return hex.EncodeToString(sum.Sum(nil))
}
