//go:build !without_postgresql

package e2e_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"parsec-server/internal/testkit"
)

// officialDeployment is a folder of the files of variables that an operator of official
// servers of Parsec 3 has, in the form of their guide, and what runs with them.
type officialDeployment struct {
	t      *testing.T
	binary binary
	// variables are those of the files, unchanged but for the names of this machine.
	variables []string
	port      string
	// authority is that of the server's certificate.
	authority *x509.CertPool
}

const officialToken = "31d5a1bb0f7de4a9c51b0ceb08266c49a7" // of the files

func newOfficialDeployment(t *testing.T, b binary, files ...string) *officialDeployment {
	t.Helper()
	d := &officialDeployment{t: t, binary: b, port: testkit.FreePort(t), authority: x509.NewCertPool()}
	folder := t.TempDir()
	d.writeCertificate(folder)
	d.writeFile(filepath.Join(folder, "web", "index.html"), "<!doctype html>the web application")
	d.writeFile(filepath.Join(folder, "web", "assets", "index-1a2b.js"), "script")
	here := strings.NewReplacer("@PORT@", d.port, "@FOLDER@", folder, "@DB@", testkit.NewPostgres(t),
		"@BLOCKSTORE@", `s3:http\://127.0.0.1\:`+testkit.FreePort(t)+`:region1:parsec:user:password`)
	for _, file := range files {
		content, err := os.ReadFile(filepath.Join("testdata", "official", file))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(here.Replace(string(content))) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
				d.variables = append(d.variables, line)
			}
		}
	}
	return d
}

func (d *officialDeployment) writeFile(path, content string) {
	d.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		d.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

func (d *officialDeployment) writeCertificate(folder string) {
	d.t.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"parsec.example.com"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der := must(x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key))
	d.authority.AddCert(must(x509.ParseCertificate(der)))
	for name, block := range map[string]*pem.Block{
		"certificate.pem": {Type: "CERTIFICATE", Bytes: der},
		"key.pem":         {Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(key))},
	} {
		d.writeFile(filepath.Join(folder, name), string(pem.EncodeToMemory(block)))
	}
}

// start runs `parsec run`, and nothing else on the command line, until the server has
// said that it starts; end stops it and returns its log.
func (d *officialDeployment) start() (end func() string) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), patience)
	d.t.Cleanup(cancel)
	command := d.binary.command(ctx, "run")
	command.Env = append(command.Env, d.variables...)
	var log strings.Builder
	command.Stderr = &log
	output, err := command.StdoutPipe()
	if err != nil {
		d.t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		d.t.Fatal(err)
	}
	line, _ := bufio.NewReader(output).ReadString('\n')
	if !strings.HasPrefix(line, "Starting Parsec Backend on 127.0.0.1:"+d.port+" (db=POSTGRESQL ") {
		_ = command.Wait()
		d.t.Fatalf("start-up line %q, log %s", line, log.String())
	}
	return func() string {
		d.t.Helper()
		if err := command.Process.Signal(syscall.SIGTERM); err != nil {
			d.t.Fatal(err)
		}
		if err := command.Wait(); err != nil {
			d.t.Errorf("ended with %v: %s", err, log.String())
		}
		return log.String()
	}
}

// migrate runs `parsec migrate` with the same files.
func (d *officialDeployment) migrate(options ...string) string {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), patience)
	defer cancel()
	command := d.binary.command(ctx, append([]string{"migrate"}, options...)...)
	command.Env = append(command.Env, d.variables...)
	output, err := command.CombinedOutput()
	if err != nil {
		d.t.Fatalf("migrate: %v: %s", err, output)
	}
	return string(output)
}

func (d *officialDeployment) ask(scheme, method, path, body string) (*http.Response, string) {
	d.t.Helper()
	client := &http.Client{
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{RootCAs: d.authority, MaxVersion: tls.VersionTLS12}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(d.t.Context(), method, scheme+"://127.0.0.1:"+d.port+path, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+officialToken)
	request.Header.Set("Content-Type", "application/json")
	answer, err := client.Do(request)
	if err != nil {
		d.t.Fatal(err)
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return answer, string(content)
}

// TestOfficialFiles starts the server as an operator does who changes the name of the
// image and nothing else.
func TestOfficialFiles(t *testing.T) {
	t.Parallel()
	b := buildBinary(t)
	t.Run("guide", func(t *testing.T) {
		t.Parallel()
		testOfficialGuide(t, newOfficialDeployment(t, b, "parsec.env", "parsec-db.env", "parsec-s3.env", "parsec-smtp.env", "parsec-admin-token.env"))
	})
	t.Run("minimal", func(t *testing.T) {
		t.Parallel()
		testOfficialMinimal(t, newOfficialDeployment(t, b, "minimal.env"))
	})
}

func testOfficialGuide(t *testing.T, d *officialDeployment) {
	if printed := d.migrate("--dry-run"); !strings.Contains(printed, "(already applied)") {
		t.Errorf("migrate printed %q", printed)
	}
	end := d.start()
	created, body := d.ask("https", http.MethodPost, "/administration/organizations", `{"organization_id":"CoolOrg"}`)
	if created.StatusCode != http.StatusOK || !strings.Contains(body, `"parsec3://parsec.example.com/CoolOrg?a=bootstrap_organization`) {
		t.Errorf("created: HTTP %d %s", created.StatusCode, body)
	}
	record, body := d.ask("https", http.MethodGet, "/administration/organizations/CoolOrg", "")
	for _, want := range []string{`"realm_minimum_archiving_period_before_deletion":2592000`, "https://parsec.example.com/tos/fr", `"active_users_limit":null`} {
		if record.StatusCode != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("record: HTTP %d %s, without %s", record.StatusCode, body, want)
		}
	}
	if page, body := d.ask("https", http.MethodGet, "/client/workspaces", ""); page.StatusCode != http.StatusOK || !strings.Contains(body, "the web application") {
		t.Errorf("web application: HTTP %d %s", page.StatusCode, body)
	}
	if script, body := d.ask("https", http.MethodGet, "/client/assets/index-1a2b.js", ""); body != "script" || script.Header.Get("Content-Security-Policy") != "" {
		t.Errorf("asset: %v %s", script.Header, body)
	}
	link, _ := d.ask("https", http.MethodGet, "/redirect/CoolOrg?a=claim_user&p=xBCgAAAAAAAAAAAAAAAAAAAB", "")
	if got, want := link.Header.Get("Location"), "https://127.0.0.1:"+d.port+"/client/webRedirect?webRedirectUrl=parsec3%3A//parsec.example.com/CoolOrg%3Fa%3Dclaim_user%26p%3DxBCgAAAAAAAAAAAAAAAAAAAB"; got != want {
		t.Errorf("link to %s, want %s", got, want)
	}
	log := end()
	for _, want := range []string{
		"settings without effect here: --skip-database-migrations-check, --sentry-traces-sample-rate, --sentry-profiles-sample-rate",
		"--ssl-ciphers: unknown names have no effect: TLS_AES_128_CCM_SHA256, ECDHE-ECDSA-AES256-CCM",
	} {
		if strings.Count(log, want) != 1 {
			t.Errorf("not one line %q in\n%s", want, log)
		}
	}
	if strings.Contains(log, "unknown variable") {
		t.Errorf("a variable of the guide is not known:\n%s", log)
	}
}

func testOfficialMinimal(t *testing.T, d *officialDeployment) {
	end := d.start()
	ready, body := d.ask("http", http.MethodGet, "/readyz", "")
	if ready.StatusCode != http.StatusOK {
		t.Errorf("HTTP %d %s", ready.StatusCode, body)
	}
	if log := end(); log != "" {
		t.Errorf("logged %s", log)
	}
}
