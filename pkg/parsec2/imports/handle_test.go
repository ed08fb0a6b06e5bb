//go:build !without_postgresql

package imports_test

import (
	"bytes"
	"compress/zlib"
	"crypto/ed25519"
	"io"
	"strings"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/internal/testkit/moving"
	"parsec-server/internal/testkit/vectors"
	"parsec-server/pkg/imports"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/certificate"
)

// TestHandleOfItsTime imports a user whose e-mail address releases up to 2.11 took, as it
// is; what the database holds then must be found sound when the test ends.
func TestHandleOfItsTime(t *testing.T) {
	t.Parallel()
	from, owner := testkit.NewOfficial(t, testkit.LoadOfficial(t, "2.17"))
	connection := testkit.Connect(t, owner)
	file := vectors.Load[struct {
		Keys struct {
			Organizations map[string]struct {
				Devices map[string]struct {
					SigningKey []byte `json:"signing_key"`
				}
			}
		}
	}](t, "import/official-2.17.json")
	var organization, user, author string
	var signed []byte
	err := connection.QueryRow(t.Context(), `
SELECT o.organization_id, u.user_id, d.device_id, u.user_certificate FROM user_ u
JOIN organization o ON o._id = u.organization JOIN device d ON d._id = u.user_certifier JOIN human h ON h._id = u.human
WHERE u.revoked_on IS NULL ORDER BY u._id LIMIT 1`).Scan(&organization, &user, &author, &signed)
	if err != nil {
		t.Fatal(err)
	}
	key := ed25519.NewKeyFromSeed(file.Keys.Organizations[organization].Devices[author].SigningKey)
	by, verify := must(parsec.ParseDeviceID(author)), parsec.VerifyKey(key.Public().(ed25519.PublicKey))
	loaded := must(certificate.LoadUser(signed, verify, by))
	given := loaded.HumanHandle.Email()
	email := strings.Replace(given, ".com", "..co", 1)
	said := must(io.ReadAll(must(zlib.NewReader(bytes.NewReader(signed[ed25519.SignatureSize:])))))
	var packed bytes.Buffer
	packer := zlib.NewWriter(&packed)
	must(packer.Write(bytes.ReplaceAll(said, []byte(given), []byte(email))))
	if err := packer.Close(); err != nil {
		t.Fatal(err)
	}
	signed = append(ed25519.Sign(key, packed.Bytes()), packed.Bytes()...)
	if _, err := certificate.LoadUser(signed, verify, by); err == nil {
		t.Error("such a handle is taken from clients")
	}
	for _, change := range []string{
		"UPDATE user_ SET user_certificate = $1 WHERE user_id = $3 AND $2::text <> ''",
		"UPDATE human SET email = $2 WHERE _id = (SELECT human FROM user_ WHERE user_id = $3 AND $1::bytea <> '')",
	} {
		if _, err := connection.Exec(t.Context(), change, signed, email, user); err != nil {
			t.Fatal(err)
		}
	}
	to := testkit.NewPostgres(t)
	report := moving.Move(t, wing, from, to, imports.Choices{})
	if all := strings.Join(moving.Findings(report), "\n"); !strings.Contains(all, organization+" note human_handle: user "+user) || report.Stopped() {
		t.Errorf("found:\n%s", all)
	}
	var stored string
	if err := testkit.Connect(t, to).QueryRow(t.Context(), "SELECT human_email FROM user_ WHERE user_id = $1", user).Scan(&stored); err != nil || stored != email {
		t.Errorf("the address is %q, %v", stored, err)
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}
