package blockstore_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"parsec-server/pkg/blockstore"
)

// What a store that cannot be used at the start answers to HEAD, which has no
// body, and to the one GET that follows.
func TestS3SaysWhatIsWrong(t *testing.T) {
	code := func(status int, code string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(status)
			if r.Method != http.MethodHead {
				_, _ = io.WriteString(w, "<Error><Code>"+code+"</Code><Message>the words\n of the store</Message></Error>") // The client may have left.
			}
		}
	}
	elsewhere := func(status int, region string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodHead {
				w.Header().Set("X-Amz-Bucket-Region", region)
			}
			code(status, "PermanentRedirect")(w, r)
		}
	}
	onlyGET := func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		_, _ = io.WriteString(w, "<ListBucketResult></ListBucketResult>") // The same.
	}
	const region = `the bucket is in the region "eu-west-3", not in "us-east-1"`
	for _, test := range []struct {
		name   string
		answer http.HandlerFunc
		want   []string // None for a store that is ready.
		gets   int
	}{
		{"unknown key", code(403, "InvalidAccessKeyId"), []string{"the store does not know the key", "InvalidAccessKeyId: the words of the store"}, 1},
		{"wrong secret", code(403, "SignatureDoesNotMatch"), []string{"the secret is not that of the key", "the words of the store"}, 1},
		{"wrong clock", code(403, "RequestTimeTooSkewed"), []string{"the clock of this machine", "RequestTimeTooSkewed"}, 1},
		{"no right", code(403, "AccessDenied"), []string{"access denied, check the key, the secret and the permissions", "AccessDenied"}, 1},
		{"no bucket, told to GET only", code(400, "NoSuchBucket"), []string{"create it with `parsec backend blockstore init`"}, 1},
		{"no bucket", code(404, "NoSuchBucket"), []string{"create it with `parsec backend blockstore init`"}, 0},
		{"moved", elsewhere(301, "eu-west-3"), []string{region}, 1},
		{"region refused", elsewhere(400, "eu-west-3"), []string{region}, 1},
		{"denied in another region", elsewhere(403, "eu-west-3"), []string{region}, 1},
		{"moved within the region", elsewhere(301, "us-east-1"), []string{"the bucket is at another endpoint"}, 1},
		{"other words", code(400, "NeverHeardOf"), []string{"NeverHeardOf: the words of the store"}, 1},
		{"broken", code(503, "SlowDown"), []string{"SlowDown"}, 1},
		{"HEAD is not allowed", onlyGET, nil, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			var methods []string
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				methods = append(methods, r.Method)
				test.answer(w, r)
			}))
			defer server.Close()
			store := remoteStores(t, server.URL)["S3"]
			err := store.Ready(t.Context())
			if wanted := append([]string{http.MethodHead}, slices.Repeat([]string{http.MethodGet}, test.gets)...); !slices.Equal(methods, wanted) {
				t.Errorf("asked by %v, want %v", methods, wanted)
			}
			if test.want == nil {
				if err != nil {
					t.Errorf("not ready: %v", err)
				}
				return
			}
			if err == nil || strings.Contains(err.Error(), "\n") {
				t.Fatalf("not one line: %v", err)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v, want %q in it", err, want)
				}
			}
		})
	}
}

// An endpoint that holds the name of the bucket is told as soon as something is
// wrong, and nothing is created in it.
func TestS3EndpointHoldsTheBucket(t *testing.T) {
	var requests []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests = append(requests, r.Method+" "+r.URL.Path)
		w.WriteHeader(http.StatusNotFound)
	}))
	defer server.Close()
	for endpoint, plain := range map[string]string{
		server.URL + "/blocks": server.URL, server.URL + "/s3/blocks/": server.URL + "/s3",
	} {
		requests = nil
		store, err := blockstore.NewS3(blockstore.S3Options{Endpoint: endpoint, Bucket: "blocks", Key: "key", Secret: "secret"})
		if err != nil {
			t.Fatal(err)
		}
		want := ": the endpoint holds the bucket already, write " + plain
		for _, err := range []error{store.Init(t.Context()), store.Ready(t.Context())} {
			if err == nil || !strings.HasSuffix(err.Error(), want) {
				t.Errorf("%s: %v, want it to end with %q", endpoint, err, want)
			}
		}
		if slices.ContainsFunc(requests, func(request string) bool { return !strings.HasPrefix(request, "HEAD ") }) {
			t.Errorf("%s: asked by %q", endpoint, requests)
		}
	}
	plain := remoteStores(t, server.URL)["S3"]
	if err := plain.Ready(t.Context()); err == nil || strings.Contains(err.Error(), "holds") {
		t.Errorf("another endpoint: %v", err)
	}
}
