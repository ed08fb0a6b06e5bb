package blockstore

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
)

// bucketRegion is the header that says where a bucket is, in refusals too.
const bucketRegion = "X-Amz-Bucket-Region"

var errNoBucket = errors.New("no such bucket, create it with `" + initCommand + "`")

// s3Hints say what is wrong where the words of stores do not.
var s3Hints = map[string]string{
	"InvalidAccessKeyId":    "the store does not know the key",
	"SignatureDoesNotMatch": "the secret is not that of the key, or something on the way to the store changes requests",
	"RequestTimeTooSkewed":  "the clock of this machine is not that of the store",
	"PermanentRedirect":     "the bucket is at another endpoint",
	"InvalidBucketName":     "the store allows no bucket of that name",
}

// failure names the store in an error of the SDK, says what is wrong where that
// is known, and whether another try may help.
func (s *S3) failure(err error) error { return s.failureIn(err, "") }

// failureIn is failure where an answer before has told the region of the bucket,
// unless that is "".
func (s *S3) failureIn(err error, region string) error {
	if err == nil {
		return nil
	}
	code := ""
	if refusal := smithy.APIError(nil); errors.As(err, &refusal) {
		code = refusal.ErrorCode()
	}
	// The SDK has a type for this error that these operations do not return.
	if code == (&types.NoSuchBucket{}).ErrorCode() {
		return s.noBucket()
	}
	response := (*awshttp.ResponseError)(nil)
	if !errors.As(err, &response) || response.HTTPStatusCode() == 0 { // There was no answer.
		return fmt.Errorf("%s: %w", s, err)
	}
	status := response.HTTPStatusCode()
	hint := s3Hints[code]
	if region = cmp.Or(response.Response.Header.Get(bucketRegion), region); region != "" && region != s.region {
		hint = fmt.Sprintf("the bucket is in the region %q, not in %q", region, s.region)
	}
	if hint == "" && (status == http.StatusUnauthorized || status == http.StatusForbidden) {
		hint = "access denied, check the key, the secret and the permissions"
	}
	if hint != "" {
		hint = ": " + hint
	}
	return ofStatus(status, &oneLine{fmt.Errorf("%s%s%s: %w", s, hint, s.endpointHint, err)})
}

func (s *S3) noBucket() error {
	return &permanentError{fmt.Errorf("%s: %w%s", s, errNoBucket, s.endpointHint)}
}

// endpointHint tells of an endpoint that holds the name of the bucket, in its
// host or at the end of its path, where it comes a second time then. Objects may
// be there all the same, which makes it no error.
func endpointHint(endpoint *url.URL, bucket string) string {
	plain := *endpoint
	if host, found := strings.CutPrefix(endpoint.Host, bucket+"."); found {
		plain.Host = host
	} else if path, found := strings.CutSuffix(strings.TrimSuffix(endpoint.Path, "/"), "/"+bucket); found {
		plain.Path, plain.RawPath = path, ""
	} else {
		return ""
	}
	return fmt.Sprintf(": the endpoint holds the bucket already, write %s", plain.Redacted())
}
