package blockstore

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"parsec-server/pkg/parsec"
)

// recorder is an HTTP client that only takes note.
type recorder struct{ requests []*http.Request }

var errRecorded = errors.New("recorded")

func (r *recorder) Do(request *http.Request) (*http.Response, error) {
	r.requests = append(r.requests, request)
	return nil, errRecorded
}

func TestS3Addresses(t *testing.T) {
	organization, err := parsec.ParseOrganizationID("Équipe")
	if err != nil {
		t.Fatal(err)
	}
	id, err := parsec.ParseUUID("8006a491-f070-4040-ae9a-197ca7501f71")
	if err != nil {
		t.Fatal(err)
	}
	const object = "/%C3%89quipe/8006a491-f070-4040-ae9a-197ca7501f71"
	for _, test := range []struct {
		options S3Options
		want    string
	}{
		{S3Options{Region: "eu-west-3", Bucket: "blocks"}, "https://blocks.s3.eu-west-3.amazonaws.com" + object},
		{S3Options{Bucket: "blocks"}, "https://blocks.s3.us-east-1.amazonaws.com" + object},
		{S3Options{Region: "eu-west-3", Bucket: "Blocks_of_2020"}, "https://s3.eu-west-3.amazonaws.com/Blocks_of_2020" + object},
		{S3Options{Region: "eu-west-3", Bucket: "blocks.example.com"}, "https://s3.eu-west-3.amazonaws.com/blocks.example.com" + object},
		{S3Options{Endpoint: "http://minio:9000", Bucket: "blocks"}, "http://minio:9000/blocks" + object},
		{S3Options{Endpoint: "https://store.example.com/s3", Region: "fr", Bucket: "blocks"}, "https://store.example.com/s3/blocks" + object},
	} {
		test.options.Key, test.options.Secret = "key", "secret"
		store, err := NewS3(test.options)
		if err != nil {
			t.Fatal(err)
		}
		recorded := &recorder{}
		options := store.client.Options()
		options.HTTPClient = recorded
		store.client = s3.New(options)
		if err := store.Create(t.Context(), organization, parsec.BlockID(id), []byte("abc")); !errors.Is(err, errRecorded) {
			t.Fatal(err)
		}
		if err := store.Read(t.Context(), organization, parsec.BlockID(id), nil, make([]byte, 3)); !errors.Is(err, errRecorded) {
			t.Fatal(err)
		}
		if len(recorded.requests) != 2 {
			t.Fatalf("%d requests, want 2: a store tries once", len(recorded.requests))
		}
		for _, request := range recorded.requests {
			address := *request.URL
			address.RawQuery = ""
			if address.String() != test.want {
				t.Errorf("%s %s, want %s", request.Method, &address, test.want)
			}
		}
		put := recorded.requests[0]
		if put.ContentLength != 3 || len(put.TransferEncoding) != 0 || put.Header.Get("Content-Encoding") != "" {
			t.Errorf("the body is not sent as it is: %v", put.Header)
		}
	}
}

// What a store can see of each request, but for its address and the name of the
// client: what the official server sends.
func TestS3RequestsArePlain(t *testing.T) {
	organization, err := parsec.ParseOrganizationID("Équipe")
	if err != nil {
		t.Fatal(err)
	}
	const name, object = "Équipe/é è+&=?.txt", "/blocks/%C3%89quipe/00000000-0000-0000-0000-000000000000"
	const empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	for _, endpoint := range []string{"http://store:9000", "https://store:9000", "https://storage.googleapis.com"} {
		store, err := NewS3(S3Options{Endpoint: endpoint, Region: "eu", Bucket: "blocks", Key: "key", Secret: "secret"})
		if err != nil {
			t.Fatal(err)
		}
		recorded := &recorder{}
		options := store.client.Options()
		options.HTTPClient = recorded
		store.client = s3.New(options)
		block := func(sum string) string {
			if strings.HasPrefix(endpoint, "https:") {
				return "UNSIGNED-PAYLOAD"
			}
			return sum
		}
		large := make([]byte, 3<<20)
		for _, test := range []struct {
			name   string
			call   func() error
			line   string
			length int64
			sum    string
		}{
			{"read", func() error { return store.Read(t.Context(), organization, parsec.BlockID{}, nil, make([]byte, 3)) }, "GET " + object, 0, empty},
			{"create", func() error { return store.Create(t.Context(), organization, parsec.BlockID{}, []byte("abc")) }, "PUT " + object, 3, block("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")},
			{"create of nothing", func() error { return store.Create(t.Context(), organization, parsec.BlockID{}, nil) }, "PUT " + object, 0, block(empty)},
			{"create of much", func() error { return store.Create(t.Context(), organization, parsec.BlockID{}, large) }, "PUT " + object, 3 << 20, block(fmt.Sprintf("%x", sha256.Sum256(large)))},
			{"list", func() error { _, err := store.List(t.Context(), "Équipe/", name); return err }, "GET /blocks?encoding-type=url&list-type=2&max-keys=1000&prefix=%C3%89quipe%2F&start-after=%C3%89quipe%2F%C3%A9%20%C3%A8%2B%26%3D%3F.txt", 0, empty},
			{"delete", func() error { return store.Delete(t.Context(), name) }, "DELETE /blocks/%C3%89quipe/%C3%A9%20%C3%A8%2B%26%3D%3F.txt", 0, empty},
			{"ready", func() error { return store.Ready(t.Context()) }, "HEAD /blocks", 0, empty},
		} {
			recorded.requests = nil
			if err := test.call(); !errors.Is(err, errRecorded) {
				t.Fatal(err)
			}
			request := recorded.requests[0]
			if got := request.Method + " " + request.URL.RequestURI(); got != test.line {
				t.Errorf("%s: %s, want %s", test.name, got, test.line)
			}
			if request.ContentLength != test.length || len(request.TransferEncoding) != 0 {
				t.Errorf("%s: %d bytes as %v, want %d as they are", test.name, request.ContentLength, request.TransferEncoding, test.length)
			}
			authorization := request.Header.Get("Authorization")
			if _, signed, _ := strings.Cut(authorization, "SignedHeaders="); !strings.HasPrefix(signed, "host;x-amz-content-sha256;x-amz-date,") {
				t.Errorf("%s: signed as %s", test.name, authorization)
			}
			if sum := request.Header.Get("X-Amz-Content-Sha256"); sum != test.sum {
				t.Errorf("%s: a body of the sum %s, want %s", test.name, sum, test.sum)
			}
			names := slices.DeleteFunc(slices.Sorted(maps.Keys(request.Header)), func(name string) bool { return name == "Content-Length" })
			if want := []string{"Accept-Encoding", "Authorization", "User-Agent", "X-Amz-Content-Sha256", "X-Amz-Date"}; !slices.Equal(names, want) {
				t.Errorf("%s: headers %v, want %v", test.name, names, want)
			}
			if encoding := request.Header.Get("Accept-Encoding"); encoding != "identity" {
				t.Errorf("%s: encoding %s", test.name, encoding)
			}
		}
	}
}

func TestS3EndpointHint(t *testing.T) {
	for endpoint, plain := range map[string]string{
		"https://blocks.s3.example.com":      "https://s3.example.com",
		"https://blocks.s3.example.com:9000": "https://s3.example.com:9000",
		"https://s3.example.com/blocks":      "https://s3.example.com",
		"https://s3.example.com/":            "",
		"https://blocks2.s3.example.com":     "",
		"https://s3.example.com/my-blocks":   "",
		"https://blocks":                     "",
	} {
		store, err := NewS3(S3Options{Endpoint: endpoint, Bucket: "blocks"})
		if err != nil {
			t.Fatal(err)
		}
		want := ": the endpoint holds the bucket already, write " + plain
		if plain == "" {
			want = ""
		}
		if store.endpointHint != want {
			t.Errorf("%s: %q, want %q", endpoint, store.endpointHint, want)
		}
	}
}

func TestS3OptionsRefused(t *testing.T) {
	for _, options := range []S3Options{
		{}, {Endpoint: "https://minio"}, {Endpoint: "https://", Bucket: "blocks"},
		{Endpoint: "https://minio:port", Bucket: "blocks"}, {Endpoint: "minio", Bucket: "blocks"},
	} {
		if _, err := NewS3(options); err == nil {
			t.Errorf("%+v is accepted", options)
		}
	}
}

func TestSwiftOptionsRefused(t *testing.T) {
	for _, options := range []SwiftOptions{
		{}, {Container: "blocks"}, {AuthURL: "https://auth"}, {AuthURL: "https://", Container: "blocks"}, {AuthURL: "auth", Container: "blocks"},
		{AuthURL: "https://auth/v1?region=GRA", Container: "blocks"}, {AuthURL: "https://auth/v2.0?domain=x", Container: "blocks"},
		{AuthURL: "https://auth/v3?Region=GRA", Container: "blocks"}, {AuthURL: "https://auth/v3?region=", Container: "blocks"},
		{AuthURL: "https://auth/v3?region=a&region=b", Container: "blocks"}, {AuthURL: "https://auth/v3?region=%zz", Container: "blocks"},
		{AuthURL: "https://auth/v3?application_credential=x", Container: "blocks", User: "user"},
		{AuthURL: "https://auth/v3?application_credential=x", Container: "blocks", Tenant: "tenant"},
	} {
		if _, err := NewSwift(options); err == nil {
			t.Errorf("%+v is accepted", options)
		}
	}
}
