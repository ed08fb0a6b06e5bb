package parsec3_test

import (
	"net/http"
	"regexp"
	"strings"

	"parsec-server/internal/testkit/testclient3"
	client3 "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
)

var codeOfMail = regexp.MustCompile(`(?m)^ {4}([A-Z2-9]{6})$`)

// coded waits for the e-mail with a code to somebody.
func (s *joining) coded(name, subject string) parsec3.ValidationCode {
	s.t.Helper()
	mail := s.mails.Next(s.ctx, s.t)
	found := codeOfMail.FindStringSubmatch(mail.Text)
	if mail.To != email(name) || found == nil || !strings.Contains(mail.Header.Get("Subject"), subject) {
		s.t.Fatalf("an e-mail to %s: %s", mail.To, mail.Text)
	}
	return must(parsec3.ParseValidationCode(found[1]))
}

const (
	firstPassword  = "correct horse"
	secondPassword = "battery staple"
	thirdPassword  = "once more"
	fourthPassword = "and again"
)

// useAccount has bob create an account by a code, keep a device of his in its vault, and
// come back from elsewhere with nothing but his password; lose the password, and recover
// the account; and delete it.
func (s *joining) useAccount() {
	s.t.Helper()
	address := must(parsec3.ParseEmailAddress(email("bob")))
	browser := testclient3.NewAccountClient(s.connect(), address)
	s.do("ask for an account", browser.AskToCreate(s.ctx))
	code := s.coded("bob", "Confirm your email address")
	wrong := must(parsec3.ParseValidationCode("222222"))
	wantRefusal(s.world, protocol.StatusInvalidValidationCode, browser.CheckCode(s.ctx, wrong))
	s.do("check the code", browser.CheckCode(s.ctx, code))
	account, err := browser.Create(s.ctx, code, "Bob", firstPassword)
	s.do("create the account", err)
	wantRefusal(s.world, protocol.StatusSendValidationEmailRequired, browser.CheckCode(s.ctx, code))
	if handle, err := account.Info(s.ctx); err != nil || handle.Label() != "Bob" || handle.Email() != email("bob") {
		s.t.Errorf("the account is of %s, %v", handle, err)
	}
	s.do("ask again", browser.AskToCreate(s.ctx))
	if mail := s.mails.Next(s.ctx, s.t); mail.To != email("bob") || codeOfMail.MatchString(mail.Text) {
		s.t.Errorf("an e-mail to %s: %s", mail.To, mail.Text)
	}
	s.do("register", account.Register(s.ctx, s.bob.Resident))

	changed, err := account.ChangePassword(s.ctx, secondPassword)
	s.do("change the password", err)
	_, err = account.Info(s.ctx)
	s.wantHTTP("the former password", http.StatusForbidden, err)
	_, err = browser.Login(s.ctx, firstPassword)
	s.wantHTTP("log in with the former password", http.StatusForbidden, err)
	s.comeBack(testclient3.NewAccountClient(s.connect(), address))
	s.recoverAccount(browser, changed)
}

// comeBack has bob find his organizations by his account, and log in to one with what
// the vault keeps.
func (s *joining) comeBack(elsewhere *testclient3.AccountClient) {
	s.t.Helper()
	account, err := elsewhere.Login(s.ctx, secondPassword)
	s.do("log in", err)
	mine, err := client3.Call(s.ctx, account.RPC(), protocol.OrganizationSelfList, &protocol.OrganizationSelfListRequest{})
	if s.do("list the organizations", err); len(mine.Active) != 1 || mine.Active[0].OrganizationID != s.organization || mine.Active[0].UserID != s.bob.Device.User {
		s.t.Fatalf("bob is in %+v", mine)
	}
	registered, err := account.Registered(s.ctx, mine.Active[0].OrganizationID, mine.Active[0].UserID)
	s.do("open the vault", err)
	origin := s.login("registered", registered)
	device, err := origin.AddDevice(s.ctx, must(parsec3.ParseDeviceLabel("elsewhere")))
	s.do("add a device", err)
	there := s.login("elsewhere", device)
	s.do("poll", there.Poll(s.ctx))
}

func (s *joining) recoverAccount(browser *testclient3.AccountClient, before *testclient3.Account) {
	s.t.Helper()
	s.do("ask to recover", browser.AskToRecover(s.ctx))
	recovered, err := browser.Recover(s.ctx, s.coded("bob", "recovery"), thirdPassword)
	s.do("recover", err)
	if mail := s.mails.Next(s.ctx, s.t); mail.To != email("bob") || !strings.Contains(mail.Text, "Your account was recovered") || !strings.Contains(mail.Text, "127.0.0.1") {
		s.t.Errorf("an e-mail to %s: %s", mail.To, mail.Text)
	}
	_, err = before.Info(s.ctx)
	s.wantHTTP("before the recovery", http.StatusForbidden, err)
	recovered = s.rotateAccount(recovered)
	if _, err := recovered.Registered(s.ctx, s.organization, s.bob.Device.User); err == nil {
		s.t.Error("the new vault is not empty")
	}
	s.do("ask to delete", recovered.AskToDelete(s.ctx))
	s.do("delete", recovered.Delete(s.ctx, s.coded("bob", "deletion")))
	_, err = recovered.Info(s.ctx)
	s.wantHTTP("after the deletion", http.StatusForbidden, err)
	s.do("ask for another account", browser.AskToCreate(s.ctx))
	s.coded("bob", "Confirm your email address")
}

// rotateAccount looks at what the account has, and begins another vault.
func (s *joining) rotateAccount(account *testclient3.Account) *testclient3.Account {
	s.t.Helper()
	invitation, err := client3.Call(s.ctx, s.bob.RPC(), protocol.InviteNewDevice, &protocol.InviteNewDeviceRequest{})
	s.do("invite", err)
	mine, err := client3.Call(s.ctx, account.RPC(), protocol.InviteSelfList, &protocol.InviteSelfListRequest{})
	if s.do("list the invitations", err); len(mine.Invitations) != 1 || mine.Invitations[0].Token != invitation.Token {
		s.t.Errorf("bob is invited by %+v", mine)
	}
	_, err = client3.Call(s.ctx, s.bob.RPC(), protocol.InviteCancel, &protocol.InviteCancelRequest{Token: invitation.Token})
	s.do("cancel", err)

	methods, err := client3.Call(s.ctx, account.RPC(), protocol.AuthMethodList, &protocol.AuthMethodListRequest{})
	if s.do("list the methods", err); len(methods.Items) != 1 {
		s.t.Fatalf("methods %+v", methods)
	}
	_, err = client3.Call(s.ctx, account.RPC(), protocol.AuthMethodDisable, &protocol.AuthMethodDisableRequest{AuthMethodID: methods.Items[0].AuthMethodID})
	wantRefusal(s.world, protocol.StatusSelfDisableNotAllowed, err)
	next, err := account.Rotate(s.ctx, fourthPassword)
	s.do("rotate", err)
	_, err = account.Info(s.ctx)
	s.wantHTTP("before the rotation", http.StatusForbidden, err)
	vaults, err := client3.Call(s.ctx, next.RPC(), protocol.VaultItemRecoveryList, &protocol.VaultItemRecoveryListRequest{})
	if s.do("list the vaults", err); len(vaults.PreviousVaults) != 2 || len(vaults.PreviousVaults[0].VaultItems) != 1 {
		s.t.Errorf("the vaults before are %+v", vaults.PreviousVaults)
	}
	return next
}
