package parsec3_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/internal/testkit/testclient3"
	"parsec-server/pkg/client"
	client3 "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
)

// joining is how people come into an organization, and come back to it. Its steps
// follow each other.
type joining struct {
	*world
	mails *testkit.SMTP
	// alice and dora are ADMIN, bob and zoe are STANDARD; phone is bob's.
	alice, dora, bob, phone, zoe *peer
}

// TestJoiningInMemory has one server that keeps nothing.
func TestJoiningInMemory(t *testing.T) {
	t.Parallel()
	mails := testkit.StartSMTP(t, testkit.SMTPOptions{})
	join(newWorld(t, startWithMails(t, mails)), mails)
}

// startWithMails runs a server whose e-mails arrive at mails.
func startWithMails(t *testing.T, mails *testkit.SMTP, arguments ...string) *testkit.Parsec {
	t.Helper()
	settings := mails.Settings()
	return testkit.StartParsec(t, program, append([]string{
		"--email-host", settings.Host, "--email-port", strconv.Itoa(settings.Port), "--email-sender", settings.Sender.Address,
		"--account-config", "ENABLED_WITH_VAULT", "--validation-email-rate-limit", "0", "0",
	}, arguments...)...)
}

func join(w *world, mails *testkit.SMTP) {
	s := &joining{world: w, mails: mails}
	s.bootstrapByLink()
	s.inviteUser()
	s.inviteDevice()
	s.enroll()
	s.recoverByShares()
	s.useAccount()
	s.useTOTP()
	s.askForOthers()
}

// askForOthers asks for what is not configured, and for what only a stream has.
func (s *joining) askForOthers() {
	s.t.Helper()
	_, err := client3.Call(s.ctx, s.bob.RPC(), protocol.CryptpadRegisterSession, &protocol.CryptpadRegisterSessionRequest{
		RealmID: parsec.RealmID(parsec.NewUUID()), DocumentID: parsec.VlobID(parsec.NewUUID()), Timestamp: now(),
	})
	wantRefusal(s.world, protocol.StatusCryptpadUnavailable, err)
	_, err = client3.Call(s.ctx, s.connect().Server(), protocol.SCWSServiceMutualChallenges, &protocol.SCWSServiceMutualChallengesRequest{})
	wantRefusal(s.world, protocol.StatusNotAvailable, err)
	_, err = client3.Call(s.ctx, s.bob.RPC(), protocol.EventsListen, &protocol.EventsListenRequest{})
	wantRefusal(s.world, protocol.StatusNotAvailable, err)
	listed, err := client3.Call(s.ctx, s.alice.RPC(), protocol.InviteList, &protocol.InviteListRequest{})
	if s.do("list the invitations", err); len(listed.Invitations) == 0 {
		s.t.Error("no invitation is listed")
	}
	pong, err := client3.Call(s.ctx, s.connect().Server(), protocol.Ping, &protocol.PingRequest{Ping: "hello"})
	if s.do("ping", err); pong.Pong != "hello" {
		s.t.Errorf("pong %q", pong.Pong)
	}
}

// bootstrapByLink has an administrator create the organization by REST, and alice found
// it by the link that comes of it.
func (s *joining) bootstrapByLink() {
	s.t.Helper()
	var created struct {
		Link string `json:"bootstrap_url_as_http_redirection"`
	}
	s.rest(http.MethodPost, "organizations", map[string]any{"organization_id": s.organization.String()}, &created)
	address := s.follow(created.Link)
	target, is := address.Target.(parsec3.BootstrapTarget)
	if !is || address.Organization() != s.organization {
		s.t.Fatalf("the link leads to %s", address)
	}
	device, request, err := client3.NewOrganization(client3.Founding{Organization: s.organization, Token: target.Token}, person("alice"), now())
	s.do("found", err)
	_, err = client3.Call(s.ctx, s.connect().Anonymous(s.organization), protocol.OrganizationBootstrap, request)
	s.do("bootstrap", err)
	s.alice = s.login("alice", device)
	second, err := s.alice.AddUser(s.ctx, person("dora"), parsec.ProfileAdmin)
	s.do("add dora", err)
	s.dora = s.login("dora", second)
}

// connect returns a client of one of the servers.
func (w *world) connect() *client3.Client {
	c := client3.New(w.addresses[w.logins%len(w.addresses)], client3.LatestVersion, client.Options{})
	w.logins++
	w.t.Cleanup(c.Close)
	return c
}

// rest calls the administration.
func (w *world) rest(method, path string, body, reply any) {
	w.t.Helper()
	encoded := must(json.Marshal(body))
	request := must(http.NewRequestWithContext(w.ctx, method, w.addresses[0].HTTPOrigin()+"/administration/"+path, bytes.NewReader(encoded)))
	request.Header.Set("Authorization", "Bearer "+testkit.AdministrationToken)
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	w.do(path, err)
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(reply); err != nil || answer.StatusCode != http.StatusOK {
		w.t.Fatalf("%s: %s, %v", path, answer.Status, err)
	}
}

// follow does what a browser does with a link of an e-mail: the server sends it to the
// application.
func (w *world) follow(link string) parsec3.Address {
	w.t.Helper()
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := browser.Do(must(http.NewRequestWithContext(w.ctx, http.MethodGet, link, http.NoBody)))
	w.do("follow "+link, err)
	defer answer.Body.Close()
	address, err := parsec3.ParseAddress(answer.Header.Get("Location"))
	w.do(fmt.Sprintf("%s leads to %q", link, answer.Header.Get("Location")), err)
	return address
}

var linkOfMail = regexp.MustCompile(`https?://\S+/redirect/\S+`)

// mailed waits for the e-mail to somebody, and follows its link.
func (s *joining) mailed(name string) (parsec3.Address, testkit.Mail) {
	s.t.Helper()
	mail := s.mails.Next(s.ctx, s.t)
	if mail.To != email(name) {
		s.t.Errorf("an e-mail to %s, want one to %s", mail.To, name)
	}
	return s.follow(linkOfMail.FindString(mail.Text)), mail
}

// invited waits for the e-mail of an invitation, and returns its token.
func (s *joining) invited(name string, of parsec.InvitationType) parsec3.AccessToken {
	s.t.Helper()
	address, _ := s.mailed(name)
	target, is := address.Target.(parsec3.InvitationTarget)
	if !is || target.Type != of || address.Organization() != s.organization {
		s.t.Fatalf("%s gets a link to %s", name, address)
	}
	return target.Token
}

// inviteUser has alice invite bob, and dora greet him.
func (s *joining) inviteUser() {
	s.t.Helper()
	reply, err := client3.Call(s.ctx, s.alice.RPC(), protocol.InviteNewUser, &protocol.InviteNewUserRequest{ClaimerEmail: email("bob"), SendEmail: true})
	if s.do("invite bob", err); reply.EmailSent != protocol.EmailSuccess {
		s.t.Errorf("the e-mail: %s", reply.EmailSent)
	}
	token := s.invited("bob", parsec.InvitationUser)
	if heard := nextOf[*protocol.InvitationEvent](s.dora); heard.Token != token || token != reply.Token {
		s.t.Errorf("bob has the token %s, dora hears of %s", token, heard.Token)
	}
	talk := testclient3.NewTalk()
	claimer := testclient3.NewClaimer(s.connect(), s.organization, token, talk.Claimer())
	info, err := claimer.Info(s.ctx)
	if s.do("info", err); *info.ClaimerEmail != email("bob") || *info.CreatedBy.UserID != s.alice.Device.User {
		s.t.Errorf("info %+v", info)
	}
	if greeters := len(info.Administrators); greeters != 2 || !slices.ContainsFunc(info.Administrators, func(a protocol.InviteAdministrator) bool { return a.UserID == s.dora.Device.User }) {
		s.t.Errorf("bob may be greeted by %+v", info.Administrators)
	}
	s.mishear(token, claimer, talk)
	s.claimTooOld(token)
	device, user := atOnce(s.world, func() (*client3.Device, error) {
		return claimer.ClaimUser(s.ctx, s.dora.Device.User, person("bob"))
	}, func() (parsec3.UserID, error) {
		return s.dora.GreetUser(s.ctx, token, parsec.ProfileStandard, talk.Greeter())
	})
	if device.User != user || device.Profile != parsec.ProfileStandard || device.HumanHandle != person("bob").HumanHandle {
		s.t.Errorf("bob is %+v, and dora knows him as %s", device, user)
	}
	s.bob = s.login("bob", device)
	s.do("poll", s.bob.Poll(s.ctx))
	if known := s.bob.Knowledge().User(user); known == nil || known.PublicKey != device.PublicKey() {
		s.t.Errorf("bob knows of himself %+v", known)
	}
	_, err = claimer.Info(s.ctx)
	s.wantHTTP("use the link again", http.StatusGone, err)
	wantRefused(s.alice, protocol.StatusClaimerEmailAlreadyEnrolled, protocol.InviteNewUser, &protocol.InviteNewUserRequest{ClaimerEmail: "BOB@example.com"})
}

// deaf hears the code, and picks none.
type deaf struct{ testclient3.Person }

func (d deaf) Pick(ctx context.Context, codes []testclient3.SASCode) testclient3.SASCode {
	d.Person.Pick(ctx, codes)
	return ""
}

// mishear has dora greet bob, and not recognise his code: the attempt is over for both.
func (s *joining) mishear(token parsec3.AccessToken, claimer *testclient3.Claimer, talk *testclient3.Talk) {
	s.t.Helper()
	greeted := make(chan error, 1)
	go func() {
		_, err := s.dora.GreetUser(s.ctx, token, parsec.ProfileStandard, deaf{talk.Greeter()})
		greeted <- err
	}()
	_, err := claimer.ClaimUser(s.ctx, s.dora.Device.User, person("bob"))
	if refusal, refused := errors.AsType[*protocol.Refusal](err); !refused || refusal.Status != protocol.StatusGreetingAttemptCancelled {
		s.t.Errorf("bob is told %v", err)
	} else if details := refusal.Details.(*protocol.AttemptCancelledDetails); details.Origin != protocol.Greeter || details.Reason != protocol.InvalidSASCode {
		s.t.Errorf("bob is told %+v", details)
	}
	if err := <-greeted; !errors.Is(err, testclient3.ErrSASCode) {
		s.t.Errorf("dora is told %v", err)
	}
}

// claimTooOld has a client try whose codes would be others.
func (s *joining) claimTooOld(token parsec3.AccessToken) {
	s.t.Helper()
	old := client3.New(s.addresses[0], parsec.APIVersion{Major: 5, Minor: 1}, client.Options{})
	defer old.Close()
	claimer := testclient3.NewClaimer(old, s.organization, token, testclient3.NewTalk().Claimer())
	_, err := claimer.ClaimUser(s.ctx, s.dora.Device.User, person("bob"))
	s.wantHTTP("claim with an old client", http.StatusUnprocessableEntity, err)
}

// atOnce runs what two people do at the same time.
func atOnce[A, B any](w *world, one func() (A, error), other func() (B, error)) (a A, b B) {
	w.t.Helper()
	ended := make(chan error, 1)
	go func() {
		var err error
		b, err = other()
		ended <- err
	}()
	a, err := one()
	if failed := <-ended; err != nil || failed != nil {
		w.t.Fatalf("at once: %v, %v", err, failed)
	}
	return a, b
}

// inviteDevice has bob add his phone, by an e-mail to himself.
func (s *joining) inviteDevice() {
	s.t.Helper()
	reply, err := client3.Call(s.ctx, s.bob.RPC(), protocol.InviteNewDevice, &protocol.InviteNewDeviceRequest{SendEmail: true})
	if s.do("invite the phone", err); reply.EmailSent != protocol.EmailSuccess {
		s.t.Errorf("the e-mail: %s", reply.EmailSent)
	}
	token := s.invited("bob", parsec.InvitationDevice)
	talk := testclient3.NewTalk()
	claimer := testclient3.NewClaimer(s.connect(), s.organization, token, talk.Claimer())
	info, err := claimer.Info(s.ctx)
	if s.do("info", err); *info.ClaimerUserID != s.bob.Device.User || *info.ClaimerHumanHandle != s.bob.Device.HumanHandle {
		s.t.Errorf("info %+v", info)
	}
	label := must(parsec3.ParseDeviceLabel("phone"))
	device, id := atOnce(s.world, func() (*client3.Device, error) {
		return claimer.ClaimDevice(s.ctx, *info.ClaimerUserID, label)
	}, func() (parsec3.DeviceID, error) {
		return s.bob.GreetDevice(s.ctx, token, talk.Greeter())
	})
	if device.ID != id || device.User != s.bob.Device.User || device.PublicKey() != s.bob.Device.PublicKey() || device.Label != label {
		s.t.Errorf("the phone is %+v, and bob knows it as %s", device, id)
	}
	s.phone = s.login("phone", device)
	s.do("poll", s.phone.Poll(s.ctx))
}
