package blockstore

import (
	"bytes"
	"cmp"
	"context"
	"crypto/md5" //nolint:gosec // The S3 API says MD5; clients authenticate blocks.
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"parsec-server/pkg/parsec"
)

// defaultRegion is where requests are signed for when no region is given, and
// the one that buckets are made in without saying so.
const defaultRegion = "us-east-1"

var _ Inventory = (*S3)(nil)

// S3Options say where a bucket is.
type S3Options struct {
	// Endpoint is the URL of an S3 server; AWS if empty. A server is asked for
	// <endpoint>/<bucket>/<key>, AWS for the bucket's own host where its name
	// allows.
	Endpoint string
	// Region is us-east-1 if empty.
	Region string
	Bucket string
	Key    string
	Secret string
	// RootCAs verify the server's certificate; those of the system if nil.
	RootCAs *x509.CertPool
}

// S3 keeps blocks in a bucket (docs/protocol/blockstore.md §3). Its methods are
// safe for concurrent use, try once, and are limited by their contexts only.
type S3 struct {
	client *s3.Client
	bucket string
	region string
	host   string
	// endpointHint is what failures say of an endpoint that holds the bucket.
	endpointHint string
	// wantsMD5 is true once the store has refused an upload for want of an MD5
	// sum, as AWS does in buckets whose objects are locked.
	wantsMD5 atomic.Bool
}

// NewS3 returns a store without connecting to it. It fails for options that no
// server could make work.
func NewS3(options S3Options) (*S3, error) {
	if options.Bucket == "" {
		return nil, errors.New("the S3 bucket has no name")
	}
	sdk := s3.Options{
		Region:      cmp.Or(options.Region, defaultRegion),
		Credentials: credentials.NewStaticCredentialsProvider(options.Key, options.Secret, ""),
		HTTPClient:  newHTTPClient(options.RootCAs),
		Retryer:     aws.NopRetryer{}, // Limited tries again.

		HTTPSignerV4: newPlainSigner(),
		// Blocks are short, and not every server answers to Expect.
		ContinueHeaderThresholdBytes: -1,
		// The default would send a body in chunks with a trailer, which not
		// every S3 server takes.
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
	}
	store := &S3{bucket: options.Bucket, region: sdk.Region, host: "AWS " + sdk.Region}
	if options.Endpoint != "" {
		endpoint, err := url.Parse(options.Endpoint)
		if err != nil || endpoint.Hostname() == "" {
			return nil, errors.New("the S3 endpoint is not a URL")
		}
		sdk.BaseEndpoint = &options.Endpoint
		sdk.UsePathStyle = true
		store.host = endpoint.Host
		store.endpointHint = endpointHint(endpoint, options.Bucket)
	}
	store.client = s3.New(sdk)
	return store, nil
}

// String names the bucket in logs.
func (s *S3) String() string { return "S3 bucket " + s.bucket + " at " + s.host }

// Read implements Store.
func (s *S3) Read(ctx context.Context, organization parsec.OrganizationID, id parsec.BlockID, checksum *Checksum, into ...[]byte) error {
	return readEither(key{organization, id}, func(name string) error {
		return s.read(ctx, name, checksum, into)
	})
}

func (s *S3) read(ctx context.Context, name string, checksum *Checksum, into [][]byte) error {
	output, err := s.client.GetObject(ctx, &s3.GetObjectInput{
		Bucket: &s.bucket,
		Key:    &name,
	})
	if err != nil {
		if missing := (*types.NoSuchKey)(nil); errors.As(err, &missing) {
			return ErrNotFound
		}
		return s.failure(err)
	}
	defer output.Body.Close()
	length := int64(-1)
	if output.ContentLength != nil {
		length = *output.ContentLength
	}
	if err := readObject(output.Body, length, checksum, into); err != nil {
		return fmt.Errorf("%s: %w", s, err)
	}
	return nil
}

// Create implements Store. The SDK reads nothing of block once
// PutObject has returned.
func (s *S3) Create(ctx context.Context, organization parsec.OrganizationID, id parsec.BlockID, block []byte) error {
	name := key{organization, id}.objectName()
	err := s.put(ctx, name, block)
	if !s.wantsMD5.Load() && asksForMD5(err) {
		s.wantsMD5.Store(true)
		err = s.put(ctx, name, block)
	}
	// A store that refuses before it has read the block may cut its reply: the
	// status alone says what is missing, and it cannot be the object.
	if response := (*awshttp.ResponseError)(nil); errors.As(err, &response) && response.HTTPStatusCode() == http.StatusNotFound {
		return s.noBucket()
	}
	return s.failure(err)
}

func (s *S3) put(ctx context.Context, name string, block []byte) error {
	input := &s3.PutObjectInput{Bucket: &s.bucket, Key: &name, Body: bytes.NewReader(block)}
	if s.wantsMD5.Load() {
		sum := md5.Sum(block) //nolint:gosec // The S3 API says MD5; clients authenticate blocks.
		input.ContentMD5 = aws.String(base64.StdEncoding.EncodeToString(sum[:]))
	}
	_, err := s.client.PutObject(ctx, input)
	return err
}

// asksForMD5 reports whether a store refuses what has no MD5 sum: it says so in
// words, under the code of many refusals.
func asksForMD5(err error) bool {
	refusal := smithy.APIError(nil)
	return errors.As(err, &refusal) && strings.Contains(refusal.ErrorMessage(), "Content-MD5")
}

// List implements Inventory.
func (s *S3) List(ctx context.Context, prefix, after string) ([]Object, error) {
	input := &s3.ListObjectsV2Input{
		Bucket:  &s.bucket,
		MaxKeys: aws.Int32(listedAtOnce),
		// XML has no words for some characters of other people's names.
		EncodingType: types.EncodingTypeUrl,
	}
	if prefix != "" {
		input.Prefix = &prefix
	}
	if after != "" {
		input.StartAfter = &after
	}
	output, err := s.client.ListObjectsV2(ctx, input)
	if err != nil {
		return nil, s.failure(err)
	}
	objects := make([]Object, len(output.Contents))
	for i, content := range output.Contents {
		name := aws.ToString(content.Key)
		if output.EncodingType == types.EncodingTypeUrl {
			if name, err = url.QueryUnescape(name); err != nil {
				return nil, fmt.Errorf("%s: the name of an object: %w", s, err)
			}
		}
		objects[i] = Object{name, aws.ToInt64(content.Size), aws.ToTime(content.LastModified)}
	}
	return objects, nil
}

// Delete implements Inventory.
func (s *S3) Delete(ctx context.Context, name string) error {
	_, err := s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.bucket, Key: &name})
	return s.failure(err)
}

// Ready implements Store: the bucket exists and the credentials
// open it.
func (s *S3) Ready(ctx context.Context) error {
	_, err := s.client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &s.bucket})
	if missing := (*types.NotFound)(nil); errors.As(err, &missing) {
		return s.noBucket()
	}
	response := (*awshttp.ResponseError)(nil)
	if !errors.As(err, &response) || response.HTTPStatusCode() == 0 {
		return s.failure(err)
	}
	// An answer to HEAD cannot say why: only the one to GET has a body.
	_, err = s.client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &s.bucket, MaxKeys: aws.Int32(1)})
	return s.failureIn(err, response.Response.Header.Get(bucketRegion))
}

// Init creates the bucket unless it exists and can be used: the rights that this
// needs are those of Ready.
func (s *S3) Init(ctx context.Context) error {
	err := s.Ready(ctx)
	if !errors.Is(err, errNoBucket) || s.endpointHint != "" {
		return err
	}
	input := &s3.CreateBucketInput{Bucket: &s.bucket}
	if s.region != defaultRegion {
		input.CreateBucketConfiguration = &types.CreateBucketConfiguration{
			LocationConstraint: types.BucketLocationConstraint(s.region),
		}
	}
	_, err = s.client.CreateBucket(ctx, input)
	var owned *types.BucketAlreadyOwnedByYou
	var exists *types.BucketAlreadyExists
	if errors.As(err, &owned) || errors.As(err, &exists) {
		return s.Ready(ctx)
	}
	return s.failure(err)
}
