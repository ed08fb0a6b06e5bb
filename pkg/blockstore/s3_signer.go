package blockstore

import (
	"context"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// plainSigner signs what S3 asks to be signed, the host and the headers x-amz-*
// and content-*, and nothing else: proxies, and Google's own, write other headers
// anew, and may send in chunks what has a length. It first takes from the request
// what the SDK adds of its own accord, for stores that refuse what they do not
// know: what is left is what the official server sends
// (docs/protocol/blockstore.md §3).
type plainSigner struct{ signer *v4.Signer }

func newPlainSigner() plainSigner {
	return plainSigner{v4.NewSigner(func(options *v4.SignerOptions) { options.DisableURIPathEscaping = true })}
}

// SignHTTP implements s3.HTTPSignerV4.
func (p plainSigner) SignHTTP(ctx context.Context, credentials aws.Credentials, request *http.Request, payloadHash, service, region string, at time.Time, options ...func(*v4.SignerOptions)) error {
	query := request.URL.Query()
	query.Del("x-id")
	request.URL.RawQuery = query.Encode()
	for _, name := range []string{"Amz-Sdk-Invocation-Id", "Amz-Sdk-Request", "Content-Type"} {
		request.Header.Del(name)
	}
	unsigned := make(http.Header)
	for name, values := range request.Header {
		if !strings.HasPrefix(name, "X-Amz-") && !strings.HasPrefix(name, "Content-") && name != "Authorization" {
			unsigned[name] = values
			delete(request.Header, name)
		}
	}
	length := request.ContentLength
	request.ContentLength = 0
	err := p.signer.SignHTTP(ctx, credentials, request, payloadHash, service, region, at, options...)
	request.ContentLength = length
	maps.Copy(request.Header, unsigned)
	return err
}
