//go:build !without_nginx && !without_minio && !without_versitygw

package blockstore_test

import (
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/config"
)

// rewriting is what proxies do to headers: nginx asks for no compression where
// its pages say so, and others name themselves.
const rewriting = `
			proxy_http_version 1.1;
			proxy_set_header Host $http_host;
			proxy_set_header Connection "";
			proxy_set_header Accept-Encoding "";
			proxy_set_header User-Agent proxy;
			proxy_set_header Amz-Sdk-Request "";
			proxy_set_header Amz-Sdk-Invocation-Id proxy;
			proxy_set_header Content-Type text/plain;
			proxy_set_header X-Forwarded-For $remote_addr;`

// Requests stay good whatever a proxy does to what S3 does not ask to be signed.
func TestS3BehindNginx(t *testing.T) {
	for name, settings := range map[string]config.S3{"MinIO": testkit.S3(t), "VersityGW": testkit.VersityGW(t)} {
		t.Run(name, func(t *testing.T) {
			settings.Endpoint = testkit.NginxBefore(t, settings.Endpoint, rewriting)
			store := s3Place(settings).initialized(t)
			exerciseStore(t, func(*testing.T) blockstore.Store { return store })
			exerciseInventory(t, func(*testing.T) blockstore.Inventory { return store })
		})
	}
}
