package testkit

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/mail"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"parsec-server/pkg/config"
)

const installPostfix = "apt-get install postfix sasl2-bin libsasl2-modules"

// Postfix is a real Postfix, which asks a real saslauthd who may send, and
// hands over what it takes to an SMTP server of the test. It takes e-mails with
// STARTTLS only, and offers CRAM-MD5 beside PLAIN and LOGIN, although saslauthd
// can do none of what CRAM-MD5 needs.
type Postfix struct {
	port           int
	roots          *x509.CertPool
	user, password string
}

// StartPostfix runs Postfix until the test ends. It needs root. settings are
// lines of main.cf; what it takes goes to next.
func StartPostfix(t testing.TB, next *SMTP, settings ...string) *Postfix {
	t.Helper()
	program := FindProgram(t, "/usr/sbin/postfix", installPostfix)
	folder, err := os.MkdirTemp("", "parsec-test-postfix-") // Names of sockets must be short.
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) }) // Its processes may still write there.
	port, err := strconv.Atoi(FreePort(t))
	if err != nil {
		t.Fatal(err)
	}
	p := &Postfix{port: port, roots: x509.NewCertPool(), user: "parsec", password: "secret"}
	certificate := loopbackCertificate(t)
	p.roots.AddCert(certificate.Leaf)
	path := func(name string) string { return filepath.Join(folder, name) }
	for _, name := range []string{"", "sasl", "saslauthd", "spool", "data"} {
		if err := os.MkdirAll(path(name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(folder, 0o755); err != nil { // Postfix is several users.
		t.Fatal(err)
	}
	for name, text := range p.files(t, folder, certificate, next, settings) {
		if err := os.WriteFile(path(name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := chown(path("data"), "postfix"); err != nil {
		t.Fatal(err)
	}
	startGroup(t, FindProgram(t, "/usr/sbin/saslauthd", installPostfix),
		"-d", "-a", "rimap", "-O", startIMAP(t, p.user, p.password), "-n", "1", "-m", path("saslauthd"))
	runTool(t.Context(), t, program, "-c", folder, "check") // It makes the folders.
	daemons, err := exec.CommandContext(t.Context(), FindProgram(t, "/usr/sbin/postconf", installPostfix), "-dh", "daemon_directory").Output()
	if err != nil {
		t.Fatal(err)
	}
	// The command to start in the foreground would leave it running at the end.
	process := startGroup(t, filepath.Join(strings.TrimSpace(string(daemons)), "master"), "-c", folder, "-d")
	t.Cleanup(func() {
		if log, err := os.ReadFile(path("log")); err == nil && t.Failed() {
			t.Logf("Postfix logged:\n%s", log)
		}
	})
	process.AwaitPort(t, strconv.Itoa(p.port))
	return p
}

// files returns the texts of the settings, by the names of their files in folder.
func (p *Postfix) files(t testing.TB, folder string, certificate tls.Certificate, next *SMTP, settings []string) map[string]string {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	path := func(name string) string { return filepath.Join(folder, name) }
	return map[string]string{
		"tls.pem": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})) +
			string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Leaf.Raw})),
		"sasl/smtpd.conf": "pwcheck_method: saslauthd\nsaslauthd_path: " + path("saslauthd/mux") + "\nmech_list: CRAM-MD5 PLAIN LOGIN\n",
		"main.cf": strings.Join(append([]string{
			"compatibility_level = 3.6",
			"queue_directory = " + path("spool"),
			"data_directory = " + path("data"),
			"inet_interfaces = 127.0.0.1",
			"inet_protocols = ipv4",
			"myhostname = mail.example.com",
			"mynetworks =",
			"mydestination =",
			"alias_maps =",
			"virtual_mailbox_domains = example.com",
			"virtual_mailbox_maps = inline:{bob@example.com=bob}",
			fmt.Sprintf("virtual_transport = smtp:[%s]:%d", next.host, next.port),
			"maillog_file = " + path("log"),
			"maillog_file_prefixes = " + folder,
			"smtpd_tls_chain_files = " + path("tls.pem"),
			"smtpd_tls_security_level = encrypt",
			"smtpd_sasl_auth_enable = yes",
			"cyrus_sasl_config_path = " + path("sasl"),
			"smtpd_relay_restrictions = permit_sasl_authenticated, reject",
		}, settings...), "\n") + "\n",
		"master.cf": strings.Join([]string{
			fmt.Sprintf("127.0.0.1:%d inet n - n - - smtpd", p.port),
			"cleanup unix n - n - 0 cleanup",
			"qmgr unix n - n 300 1 qmgr",
			"tlsmgr unix - - n 1000? 1 tlsmgr",
			"rewrite unix - - n - - trivial-rewrite",
			"bounce unix - - n - 0 bounce",
			"defer unix - - n - 0 bounce",
			"proxymap unix - - n - - proxymap",
			"smtp unix - - n - - smtp",
			"error unix - - n - - error",
			"retry unix - - n - - error",
			"anvil unix - - n - 1 anvil",
			"postlog unix-dgram n - n - 1 postlogd",
		}, "\n") + "\n",
	}
}

// Settings returns the settings to send e-mails to the server with.
func (p *Postfix) Settings() config.Email {
	return config.Email{
		Host: "127.0.0.1", Port: p.port, User: p.user, Password: config.NewSecret(p.password), UseTLS: true,
		Sender: mail.Address{Name: "Parsec", Address: "no-reply@example.com"}, Language: "en",
	}
}

// Roots verify the certificate of the server.
func (p *Postfix) Roots() *x509.CertPool { return p.roots }

// startGroup runs a program that ends its whole process group when it ends.
func startGroup(t testing.TB, program string, arguments ...string) *Process {
	t.Helper()
	command := exec.CommandContext(context.WithoutCancel(t.Context()), program, arguments...)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return startCommand(t, command)
}

func chown(path, name string) error {
	owner, err := user.Lookup(name)
	if err != nil {
		return err
	}
	id, err := strconv.Atoi(owner.Uid)
	if err != nil {
		return err
	}
	return os.Chown(path, id, -1)
}

// startIMAP lets one person in, and tells saslauthd where.
func startIMAP(t testing.TB, name, password string) (address string) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(func() {
		cancel()
		listener.Close()
	})
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go serveIMAP(ctx, connection, name, password)
		}
	}()
	address, port, _ := net.SplitHostPort(listener.Addr().String())
	return address + "/" + port
}

func serveIMAP(ctx context.Context, connection net.Conn, name, password string) {
	defer context.AfterFunc(ctx, func() { connection.Close() })()
	defer connection.Close()
	fmt.Fprint(connection, "* OK ready\r\n")
	lines := bufio.NewScanner(connection)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) < 2 {
			return
		}
		answer := "OK"
		if strings.EqualFold(words[1], "LOGIN") && strings.Join(words[2:], " ") != fmt.Sprintf("%q %q", name, password) {
			answer = "NO"
		}
		fmt.Fprintf(connection, "%s %s done\r\n", words[0], answer)
	}
}
