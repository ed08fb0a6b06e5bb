package testkit

import (
	"bytes"
	"cmp"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"parsec-server/pkg/config"
)

// LimitedS3 returns a bucket, which may not exist, by the key of a user who may
// do to it and its objects nothing but some actions, such as "s3:GetObject".
func (m *MinIO) LimitedS3(t testing.TB, bucket string, actions ...string) config.S3 {
	t.Helper()
	const password = "limited-secret"
	user := "limited-" + bucket
	policy := must(json.Marshal(map[string]any{
		"Version": "2012-10-17",
		"Statement": []any{map[string]any{
			"Effect": "Allow", "Action": actions, "Resource": []string{"arn:aws:s3:::" + bucket, "arn:aws:s3:::" + bucket + "/*"},
		}},
	}))
	secret := encryptForMinIO(must(json.Marshal(map[string]string{"secretKey": password, "status": "enabled"})))
	// A server that has just started may forget what it is told: all is told again.
	m.process.Await(t, func(ctx context.Context) error {
		return cmp.Or(
			m.administer(ctx, "add-canned-policy", url.Values{"name": {user}}, policy),
			m.administer(ctx, "add-user", url.Values{"accessKey": {user}}, secret),
			m.administer(ctx, "set-user-or-group-policy", url.Values{"policyName": {user}, "userOrGroup": {user}, "isGroup": {"false"}}, nil),
		)
	})
	settings := m.S3(bucket)
	settings.Key, settings.Secret = config.NewSecret(user), config.NewSecret(password)
	return settings
}

// administer sends a request of MinIO's own administration.
func (m *MinIO) administer(ctx context.Context, action string, query url.Values, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, m.endpoint()+"/minio/admin/v3/"+action+"?"+query.Encode(), bytes.NewReader(body))
	if err != nil {
		return err
	}
	sum := sha256.Sum256(body)
	hash := hex.EncodeToString(sum[:])
	request.Header.Set("X-Amz-Content-Sha256", hash)
	credentials := aws.Credentials{AccessKeyID: minioUser, SecretAccessKey: minioPassword}
	if err := v4.NewSigner().SignHTTP(ctx, credentials, request, hash, "s3", "us-east-1", time.Now()); err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("MinIO: %s: %s: %s", action, response.Status, answer)
	}
	return err
}

// encryptForMinIO encrypts as secrets travel to MinIO: AES-GCM in one piece, by
// a key derived from the administrator's password.
func encryptForMinIO(text []byte) []byte {
	const (
		iterations   = 8192
		derived      = 0x02 // By PBKDF2.
		onlyPiece    = 0x80
		counterBytes = 4
	)
	salt := make([]byte, 32)
	_, _ = rand.Read(salt) // It never fails.
	gcm := must(cipher.NewGCM(must(aes.NewCipher(must(pbkdf2.Key(sha256.New, minioPassword, salt, iterations, 32))))))
	nonce := make([]byte, gcm.NonceSize()) // It ends with the number of the piece.
	_, _ = rand.Read(nonce[:len(nonce)-counterBytes])
	bound := append([]byte{onlyPiece}, gcm.Seal(nil, nonce, nil, nil)...)
	message := slices.Concat(salt, []byte{derived}, nonce[:len(nonce)-counterBytes])
	binary.LittleEndian.PutUint32(nonce[len(nonce)-counterBytes:], 1)
	return gcm.Seal(message, nonce, text, bound)
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}
