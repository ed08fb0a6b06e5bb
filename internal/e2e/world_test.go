package e2e_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/client"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/config"
	"parsec-server/pkg/mail"
	"parsec-server/pkg/parsec"
	parsec2mail "parsec-server/pkg/parsec2/mail"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
	"parsec-server/pkg/rpc"
)

// patience bounds a whole test: whatever it waits for comes in milliseconds.
const patience = 4 * time.Minute

// start is when the clock of a world begins.
const start parsec.DateTime = 1704164645_678901

// world is a server on a real port, its clock, and a client.
type world struct {
	*testkit.Instance
	t      *testing.T
	ctx    context.Context
	clock  *testkit.Clock
	client *parsec2.Client
	// mails is nil where none is expected.
	mails *testkit.SMTP
}

func newWorld(t *testing.T, options testkit.InstanceOptions) *world {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	w := &world{t: t, ctx: ctx, clock: testkit.NewClock(start)}
	options.Now = w.clock.Now
	w.Instance = testkit.Start(t, options)
	w.client = parsec2.New(w.Address, client.Options{Now: w.clock.Now})
	t.Cleanup(w.client.Close)
	return w
}

func mailOptions(settings config.Email) mail.Options {
	return mail.Options{
		Host: settings.Host, Port: settings.Port, User: settings.User, Password: settings.CurrentPassword,
		Encryption: mail.Encryption(settings.Encryption()), Sender: settings.Sender, Language: settings.Language,
	}
}

// newMailedWorld is one whose server sends e-mails, by SMTP.
func newMailedWorld(t *testing.T) *world {
	t.Helper()
	mails := testkit.StartSMTP(t, testkit.SMTPOptions{})
	w := newWorld(t, testkit.InstanceOptions{Mailer: func(address parsec.ServerAddress) rules.Mailer {
		return parsec2mail.New(mailOptions(mails.Settings()), address, slog.New(slog.DiscardHandler))
	}})
	w.mails = mails
	return w
}

// tick returns a date that is later than any other before.
func (w *world) tick() parsec.DateTime {
	w.clock.Advance(time.Millisecond)
	return w.clock.Now()
}

// administration returns a connection of the administrator.
func (w *world) administration() *parsec2.Conn {
	w.t.Helper()
	conn, err := w.client.DialAdministration(w.ctx, testkit.AdministrationToken, parsec.APIVersion{Major: 1, Minor: 2})
	if err != nil {
		w.t.Fatalf("connect as administrator: %v", err)
	}
	w.t.Cleanup(conn.CloseNow)
	return conn
}

// create returns the address to bootstrap a new organization with.
func (w *world) create(organization string) parsec.BootstrapAddress {
	w.t.Helper()
	id := must(parsec.ParseOrganizationID(organization))
	created := ok(w, w.administration(), protocol.AdministrationCreate, &protocol.AdministrationCreateRequest{OrganizationID: id})
	return w.Address.BootstrapAddress(id, created.BootstrapToken)
}

// must is for values that cannot be wrong.
func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// ok sends a command that must be accepted.
func ok[Request, Reply any](w *world, by parsec2.Transport, command *rpc.Command[Request, Reply], request *Request) *Reply {
	w.t.Helper()
	reply, err := parsec2.Call(w.ctx, by, command, request)
	if err != nil {
		w.t.Fatalf("%T: %v", request, err)
	}
	return reply
}

// refused sends a command that must be refused with that status.
func refused[Request, Reply any](w *world, want protocol.Status, by parsec2.Transport, command *rpc.Command[Request, Reply], request *Request) {
	w.t.Helper()
	reasonOf(w, want, by, command, request)
}

// reasonOf expects a refusal, and returns its reason.
func reasonOf[Request, Reply any](w *world, want protocol.Status, by parsec2.Transport, command *rpc.Command[Request, Reply], request *Request) string {
	w.t.Helper()
	_, err := parsec2.Call(w.ctx, by, command, request)
	refusal, found := errors.AsType[*protocol.Refusal](err)
	if !found || refusal.Status != want {
		w.t.Fatalf("%T: %v, want %s", request, err, want)
	}
	if refusal.Reason == "" {
		w.t.Errorf("%T: %s without reason", request, want)
	}
	return refusal.Reason
}

// content is size bytes that nothing else has.
func content(name string, size int) []byte {
	data := make([]byte, size)
	_, _ = rand.NewChaCha8(sha256.Sum256([]byte(name))).Read(data) // never fails
	return data
}

func deviceID(text string) parsec.DeviceID { return must(parsec.ParseDeviceID(text)) }

func newRealmID() parsec.RealmID { return parsec.RealmID(parsec.NewUUID()) }

func newVlobID() parsec.VlobID { return parsec.VlobID(parsec.NewUUID()) }
