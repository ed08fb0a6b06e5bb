package blockstore_test

import (
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/parsec"
)

// objectServer is as much of S3, and of Swift with its authentication, as the
// stores use, with answers that real servers give rarely.
type objectServer struct {
	*httptest.Server

	mu       sync.Mutex
	objects  map[string]string // By path.
	answer   http.HandlerFunc  // Instead of the usual one for an object.
	requests []string
	tokens   int
	token    string

	containerLost bool
}

const container = "/blocks"

func startObjectServer(t *testing.T) *objectServer {
	t.Helper()
	server := &objectServer{objects: make(map[string]string)}
	server.Server = httptest.NewServer(server)
	t.Cleanup(server.Close)
	return server
}

func (o *objectServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if r.URL.Path == "/auth" {
		o.authenticate(w, r)
		return
	}
	o.requests = append(o.requests, r.Method+" "+r.URL.Path)
	if token := r.Header.Get("X-Auth-Token"); r.Header.Get("Authorization") == "" && token != o.token {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	name, _ := strings.CutPrefix(strings.TrimPrefix(r.URL.Path, "/v1"), container)
	if name == "" && !o.containerLost {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if o.answer != nil {
		o.answer(w, r)
		return
	}
	switch r.Method {
	case http.MethodPut:
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		o.objects[name] = string(body)
		if r.Header.Get("Authorization") == "" {
			w.WriteHeader(http.StatusCreated)
		}
	case http.MethodGet:
		object, found := o.objects[name]
		if !found {
			refuse(http.StatusNotFound, "NoSuchKey")(w, r)
			return
		}
		give(object, len(object))(w, r)
	}
}

func (o *objectServer) authenticate(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("X-Auth-User") != "user:tenant" || r.Header.Get("X-Auth-Key") != "password" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	o.tokens++
	o.token = "token " + strconv.Itoa(o.tokens)
	w.Header().Set("X-Auth-Token", o.token)
	w.Header().Set("X-Storage-Url", o.URL+"/v1")
}

// set has the server answer otherwise than usual; nil for as usual.
func (o *objectServer) set(answer http.HandlerFunc) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.answer = answer
}

func (o *objectServer) expireToken() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.token = "none"
}

func (o *objectServer) loseContainer() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.containerLost = true
}

func (o *objectServer) log() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.requests)
}

// give answers with an object of a length, maybe not all of it.
func give(object string, length int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		sum := md5.Sum([]byte(object))
		w.Header().Set("Etag", hex.EncodeToString(sum[:]))
		w.Header().Set("Content-Length", strconv.Itoa(length))
		_, _ = io.WriteString(w, object) // The client may have left.
	}
}

func refuse(status int, code string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "<Error><Code>"+code+"</Code><Message>"+code+"</Message></Error>") // The same.
	}
}

// chunked answers without a length.
func chunked(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusOK)
	_ = http.NewResponseController(w).Flush() // The same.
	_, _ = io.WriteString(w, "abc")
}

// hangUpChunked is hangUp without a length.
func hangUpChunked(w http.ResponseWriter, _ *http.Request) {
	_, _ = io.WriteString(w, "half") // The client may have left.
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// hangUp closes the connection in the middle of an answer.
func hangUp(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Length", "1000")
	_, _ = io.WriteString(w, "half")
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// remoteStore is what S3 and Swift are.
type remoteStore interface {
	blockstore.Store
	blockstore.Initializer
	fmt.Stringer
}

// remoteStores opens both kinds of store on the server at an address.
func remoteStores(t *testing.T, address string) map[string]blockstore.Store {
	t.Helper()
	s3, err := blockstore.NewS3(blockstore.S3Options{Endpoint: address, Bucket: "blocks", Key: "key", Secret: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	swift, err := blockstore.NewSwift(blockstore.SwiftOptions{
		AuthURL: address + "/auth", Tenant: "tenant", Container: "blocks", User: "user", Password: "password",
	})
	if err != nil {
		t.Fatal(err)
	}
	return map[string]blockstore.Store{"S3": s3, "Swift": swift}
}

// quick tries twice, without long waits.
func quick(store blockstore.Store) *blockstore.Limited {
	return blockstore.NewLimited(store, blockstore.Limits{
		Try: 10 * time.Second, Call: 20 * time.Second, Tries: 2, Pause: time.Millisecond, Concurrency: 4,
	})
}

// What the answers of a server to a read mean, and whether it is asked again.
func TestReadAnswers(t *testing.T) {
	for name, test := range map[string]struct {
		answer   http.HandlerFunc
		damaged  bool
		requests int
		wanted   int // The length of the block.
		only     string
	}{
		"half an object, then silence": {answer: hangUp, wanted: 1000, requests: 2},
		"no length, and longer":        {answer: chunked, wanted: 2, damaged: true, requests: 1},
		"no length, and shorter":       {answer: chunked, wanted: 4, damaged: true, requests: 1},
		"no length, then silence":      {answer: hangUpChunked, wanted: 1000, requests: 2},
		"longer than the block":        {answer: give("abcd", 4), wanted: 3, damaged: true, requests: 1},
		"shorter than the block":       {answer: give("ab", 2), wanted: 3, damaged: true, requests: 1},
		"another checksum": {answer: func(w http.ResponseWriter, r *http.Request) {
			give("abd", 3)(etagOf("abc", w), r)
		}, wanted: 3, damaged: true, requests: 1, only: "Swift"},
		"access denied":             {answer: refuse(http.StatusForbidden, "AccessDenied"), requests: 1},
		"another bad request":       {answer: refuse(http.StatusBadRequest, "BadRequest"), requests: 1},
		"elsewhere":                 {answer: refuse(http.StatusMovedPermanently, "PermanentRedirect"), requests: 1},
		"no bucket":                 {answer: refuse(http.StatusNotFound, "NoSuchBucket"), requests: 1, only: "S3"},
		"absence of who knows what": {answer: refuse(http.StatusNotFound, "Gone"), requests: 1, only: "S3"},
		"too many requests":         {answer: refuse(http.StatusTooManyRequests, "SlowDown"), requests: 2},
		"internal error":            {answer: refuse(http.StatusInternalServerError, "InternalError"), requests: 2},
		"unavailable":               {answer: refuse(http.StatusServiceUnavailable, "SlowDown"), requests: 2},
		"gateway's page": {answer: func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadGateway)
			_, _ = io.WriteString(w, "<html>")
		}, requests: 2},
	} {
		t.Run(name, func(t *testing.T) {
			server := startObjectServer(t)
			server.set(test.answer)
			for kind, store := range remoteStores(t, server.URL) {
				if test.only != "" && test.only != kind {
					continue
				}
				before := len(server.log())
				err := quick(store).Read(t.Context(), organization(t), newBlockID(), nil, make([]byte, test.wanted))
				if err == nil || errors.Is(err, blockstore.ErrNotFound) || errors.Is(err, blockstore.ErrDamaged) != test.damaged {
					t.Errorf("%s: %v", kind, err)
				}
				if !strings.HasPrefix(err.Error(), kind+" ") || strings.Contains(err.Error(), "\n") {
					t.Errorf("%s: not one line that names the store: %v", kind, err)
				}
				if asked := len(server.log()) - before; asked != test.requests {
					t.Errorf("%s: asked %d times, want %d", kind, asked, test.requests)
				}
			}
		})
	}
}

// etagOf keeps the checksum of an object, whatever is set later.
func etagOf(object string, w http.ResponseWriter) http.ResponseWriter {
	sum := md5.Sum([]byte(object))
	return fixedEtag{w, hex.EncodeToString(sum[:])}
}

type fixedEtag struct {
	http.ResponseWriter
	etag string
}

func (f fixedEtag) Write(p []byte) (int, error) {
	f.Header().Set("Etag", f.etag)
	return f.ResponseWriter.Write(p)
}

func TestCreateAnswers(t *testing.T) {
	for name, test := range map[string]struct {
		answer   http.HandlerFunc
		requests int
	}{
		"access denied":     {refuse(http.StatusForbidden, "AccessDenied"), 1},
		"no bucket":         {refuse(http.StatusNotFound, "NoSuchBucket"), 1},
		"another checksum":  {refuse(http.StatusUnprocessableEntity, "BadDigest"), 1},
		"quota reached":     {refuse(http.StatusRequestEntityTooLarge, "QuotaExceeded"), 1},
		"disk full":         {refuse(http.StatusInsufficientStorage, "XMinioStorageFull"), 2},
		"too many requests": {refuse(http.StatusTooManyRequests, "SlowDown"), 2},
		"internal error":    {refuse(http.StatusInternalServerError, "InternalError"), 2},
		"silence":           {hangUpAtOnce, 2},
	} {
		t.Run(name, func(t *testing.T) {
			server := startObjectServer(t)
			server.set(test.answer)
			for kind, store := range remoteStores(t, server.URL) {
				before := len(server.log())
				err := quick(store).Create(t.Context(), organization(t), newBlockID(), blockOf(1000))
				if err == nil {
					t.Fatalf("%s: ok for what is not stored", kind)
				}
				if !strings.HasPrefix(err.Error(), kind+" ") || strings.Contains(err.Error(), "\n") {
					t.Errorf("%s: not one line that names the store: %v", kind, err)
				}
				if asked := len(server.log()) - before; asked != test.requests {
					t.Errorf("%s: asked %d times, want %d", kind, asked, test.requests)
				}
			}
		})
	}
}

// A server that cannot be reached, or not believed, is named in one line.
func TestNoConversation(t *testing.T) {
	stranger := httptest.NewUnstartedServer(nil)
	stranger.Config.ErrorLog = log.New(io.Discard, "", 0)
	stranger.StartTLS()
	t.Cleanup(stranger.Close)
	for name, test := range map[string]struct{ address, want string }{
		"unknown authority": {stranger.URL, "certificate"},
		"no such host":      {"http://nowhere.invalid", "lookup nowhere.invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			for kind, store := range remoteStores(t, test.address) {
				read := store.Read(t.Context(), organization(t), newBlockID(), nil, make([]byte, 1000))
				create := store.Create(t.Context(), organization(t), newBlockID(), blockOf(1000))
				for action, err := range map[string]error{"read": read, "create": create, "ready": store.Ready(t.Context())} {
					if err == nil || errors.Is(err, blockstore.ErrNotFound) || !strings.HasPrefix(err.Error(), kind+" ") ||
						!strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
						t.Errorf("%s %s: %v, want one line that names the store, with %q", kind, action, err, test.want)
					}
				}
			}
		})
	}
}

func hangUpAtOnce(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// A server that fails once is asked again, and gets the whole block.
func TestCreateAgain(t *testing.T) {
	server := startObjectServer(t)
	for _, store := range remoteStores(t, server.URL) {
		server.set(func(w http.ResponseWriter, r *http.Request) {
			server.answer = nil // The lock is held.
			refuse(http.StatusServiceUnavailable, "SlowDown")(w, r)
		})
		id := newBlockID()
		mustCreate(t, quick(store), id, blockOf(100000))
		wantBlock(t, store, id, blockOf(100000))
	}
}

// A bucket whose objects are locked takes what has an MD5 sum: it is given from
// the first refusal on.
func TestS3GivesTheMD5ThatIsAskedFor(t *testing.T) {
	server := startObjectServer(t)
	store := remoteStores(t, server.URL)["S3"]
	var sums []string
	server.set(func(w http.ResponseWriter, r *http.Request) {
		sums = append(sums, r.Header.Get("Content-Md5"))
		if r.Header.Get("Content-Md5") == "" {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, "<Error><Code>InvalidRequest</Code><Message>Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters</Message></Error>")
		}
	})
	mustCreate(t, store, newBlockID(), []byte("abc"))
	mustCreate(t, store, newBlockID(), []byte("abc"))
	const sum = "kAFQmDzST7DWlj99KOF/cg=="
	if !slices.Equal(sums, []string{"", sum, sum}) {
		t.Errorf("gave %q", sums)
	}
}

// The names of objects, and the ones of v2.7.0 and v2.8.0 that are read where
// there is no other.
func TestObjectNames(t *testing.T) {
	id, err := parsec.ParseUUID("8006a491-f070-4040-ae9a-197ca7501f71")
	if err != nil {
		t.Fatal(err)
	}
	block := parsec.BlockID(id)
	const name, unhyphenated = "/CoolOrg/8006a491-f070-4040-ae9a-197ca7501f71", "/CoolOrg/8006a491f0704040ae9a197ca7501f71"
	server := startObjectServer(t)
	for kind, store := range remoteStores(t, server.URL) {
		clear(server.objects)
		server.objects[unhyphenated] = "old"
		wantBlock(t, store, block, []byte("old"))
		mustCreate(t, store, block, []byte("new"))
		wantBlock(t, store, block, []byte("new"))
		if want := map[string]string{name: "new", unhyphenated: "old"}; !maps.Equal(server.objects, want) {
			t.Errorf("%s: the server has %v", kind, server.objects)
		}
	}
}

// A token that has expired is replaced, and the block sent again.
func TestSwiftTokenExpires(t *testing.T) {
	server := startObjectServer(t)
	store := remoteStores(t, server.URL)["Swift"]
	id := newBlockID()
	mustCreate(t, store, id, blockOf(10))
	server.expireToken()
	mustCreate(t, store, id, blockOf(100000))
	server.expireToken()
	wantBlock(t, store, id, blockOf(100000))
	if server.tokens != 3 {
		t.Errorf("authenticated %d times, want 3", server.tokens)
	}
}

// Swift gives the same answer where there is no object and where there is no
// container.
func TestSwiftReadWithoutContainer(t *testing.T) {
	server := startObjectServer(t)
	store, err := blockstore.NewSwift(blockstore.SwiftOptions{
		AuthURL: server.URL + "/auth", Tenant: "tenant", Container: "blocks", User: "user", Password: "password",
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Read(t.Context(), organization(t), newBlockID(), nil, []byte{}); !errors.Is(err, blockstore.ErrNotFound) {
		t.Errorf("no object: %v", err)
	}
	server.set(refuse(http.StatusNotFound, ""))
	server.loseContainer()
	err = store.Read(t.Context(), organization(t), newBlockID(), nil, []byte{})
	if err == nil || errors.Is(err, blockstore.ErrNotFound) || !strings.Contains(err.Error(), "no such container, create it with `parsec backend blockstore init`") {
		t.Errorf("no container: %v", err)
	}
}
