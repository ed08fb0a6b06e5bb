package blockstore

import (
	"errors"
	"net/http"
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
	} {
		if _, err := NewSwift(options); err == nil {
			t.Errorf("%+v is accepted", options)
		}
	}
}
