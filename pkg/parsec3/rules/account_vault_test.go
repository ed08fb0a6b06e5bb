package rules_test

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

func fingerprint(n int) protocol.Fingerprint { return protocol.Fingerprint{byte(n), byte(n >> 8)} }

func (f *accountFixture) upload(by *rules.AccountAuthor, n int, item string) error {
	_, err := f.VaultItemUpload(f.t.Context(), by, &protocol.VaultItemUploadRequest{ItemFingerprint: fingerprint(n), Item: []byte(item)})
	return err
}

func (f *accountFixture) items(by *rules.AccountAuthor) protocol.VaultItems {
	f.t.Helper()
	reply, err := f.VaultItemList(f.t.Context(), by, nil)
	f.ok(nil, err)
	return reply.Items
}

func (f *accountFixture) addMethod(by *rules.AccountAuthor, name string, password *protocol.PasswordAlgorithm) (*holder, error) {
	h := newHolder(name)
	_, err := f.AuthMethodCreate(f.t.Context(), by, &protocol.AuthMethodCreateRequest{
		AuthMethodID: h.method, AuthMethodMACKey: h.key, AuthMethodPasswordAlgorithm: password, VaultKeyAccess: []byte("access of " + name),
	})
	return h, err
}

func (f *accountFixture) disable(by *rules.AccountAuthor, id parsec3.AuthMethodID) error {
	_, err := f.AuthMethodDisable(f.t.Context(), by, &protocol.AuthMethodDisableRequest{AuthMethodID: id})
	return err
}

func (f *accountFixture) rotate(by *rules.AccountAuthor, name string, items protocol.VaultItems) (*holder, error) {
	h := newHolder(name)
	_, err := f.VaultKeyRotation(f.t.Context(), by, &protocol.VaultKeyRotationRequest{
		NewAuthMethodID: h.method, NewAuthMethodMACKey: h.key, NewVaultKeyAccess: []byte("access of " + name), Items: items,
	})
	return h, err
}

// TestChangeOfPassword disables the former one, at once, and no other method.
func TestChangeOfPassword(t *testing.T) {
	f := newAccountFixture(t)
	zoe := f.newAccount("zoe")
	old := f.owner(zoe)
	f.ok(nil, f.upload(old, 1, "one"))
	key, err := f.addMethod(old, "zoe's key", nil)
	f.ok(nil, err)
	strongest := protocol.PasswordAlgorithm{Type: protocol.Argon2ID, MemlimitKB: 4 << 20, Opslimit: 100, Parallelism: 16}
	next, err := f.addMethod(old, "zoe's second password", &strongest)
	f.ok(nil, err)
	_, err = f.AccountInfo(t.Context(), old, nil)
	wantStatus(t, "a client that uses the former password", err, aborted(rules.UnknownAuthMethod))
	wantStatus(t, "its upload", f.upload(old, 2, "two"), aborted(rules.UnknownAuthMethod))
	_, err = f.admit(zoe)
	wantStatus(t, "its next token", err, aborted(rules.UnknownAuthMethod))
	reply, err := f.AuthMethodPasswordGetAlgorithm(t.Context(), peer, &protocol.AuthMethodPasswordGetAlgorithmRequest{Email: address(zoe.email)})
	f.ok(nil, err)
	if reply.PasswordAlgorithm != strongest {
		t.Errorf("algorithm %v", reply.PasswordAlgorithm)
	}
	for _, h := range []*holder{key, next} {
		if got := f.items(f.owner(h)); len(got) != 1 {
			t.Errorf("items %v", got)
		}
	}
	list, err := f.AuthMethodList(t.Context(), f.owner(key), nil)
	f.ok(nil, err)
	if len(list.Items) != 2 {
		t.Errorf("methods %+v", list.Items)
	}
}

// methodScenario is a command about the methods of zoe.
type methodScenario struct {
	*accountFixture
	zoe, yan *holder
	key      *holder
}

func newMethodScenario(t *testing.T) *methodScenario {
	t.Helper()
	s := &methodScenario{accountFixture: newAccountFixture(t)}
	s.zoe, s.yan = s.newAccount("zoe"), s.newAccount("yan")
	var err error
	s.key, err = s.addMethod(s.owner(s.zoe), "zoe's key", nil)
	s.ok(nil, err)
	return s
}

// TestAuthMethodDisable has the rows of its table, in their order.
func TestAuthMethodDisable(t *testing.T) {
	s := newMethodScenario(t)
	zoe := s.owner(s.zoe)
	wantStatus(t, "its own", s.disable(zoe, s.zoe.method), protocol.StatusSelfDisableNotAllowed)
	wantStatus(t, "unknown", s.disable(zoe, parsec3.AuthMethodID{1}), protocol.StatusAuthMethodNotFound)
	wantStatus(t, "another account's", s.disable(zoe, s.yan.method), protocol.StatusAuthMethodNotFound)
	s.ok(nil, s.disable(zoe, s.key.method))
	wantStatus(t, "again", s.disable(zoe, s.key.method), protocol.StatusAuthMethodAlreadyDisabled)
	_, err := s.admit(s.key)
	wantStatus(t, "its token", err, aborted(rules.UnknownAuthMethod))
	yans, err := s.addMethod(s.owner(s.yan), "yan's key", nil)
	s.ok(nil, err)
	s.ok(nil, s.disable(s.owner(s.yan), yans.method))
	wantStatus(t, "another account's, disabled", s.disable(zoe, yans.method), protocol.StatusAuthMethodNotFound)
	next, err := s.rotate(zoe, "zoe's next vault", nil)
	s.ok(nil, err)
	wantStatus(t, "of the previous vault", s.disable(s.owner(next), s.zoe.method), protocol.StatusAuthMethodAlreadyDisabled)
	wantStatus(t, "by a method that is disabled", s.disable(zoe, s.zoe.method), aborted(rules.UnknownAuthMethod))
}

// TestAuthMethodIDsAreTaken on the whole server, also those that are disabled.
func TestAuthMethodIDsAreTaken(t *testing.T) {
	s := newMethodScenario(t)
	zoe := s.owner(s.zoe)
	s.ok(nil, s.disable(zoe, s.key.method))
	for _, taken := range []string{"zoe", "yan", "zoe's key"} {
		_, err := s.addMethod(zoe, taken, nil)
		wantStatus(t, taken+" again", err, protocol.StatusAuthMethodIDAlreadyExists)
		_, err = s.rotate(zoe, taken, nil)
		wantStatus(t, "rotation to "+taken, err, protocol.StatusNewAuthMethodIDAlreadyExists)
		_, err = s.rotate(zoe, taken, protocol.VaultItems{{1}: nil})
		wantStatus(t, "rotation of other items to "+taken, err, protocol.StatusItemsMismatch)

		xeno := &holder{email: "xeno@example.com", method: newHolder(taken).method}
		s.ok(nil, s.askCreation(xeno.email))
		code := s.code(rules.AccountCreation, xeno.email)
		wantStatus(t, "creation by "+taken, s.create(xeno.creation(code)), protocol.StatusAuthMethodIDAlreadyExists)
		wantStatus(t, "which counts no try", s.create(checkOf(xeno.email, code)), protocol.StatusOK)
		wantStatus(t, "a wrong code first", s.create(xeno.creation(wrongOf(code))), protocol.StatusInvalidValidationCode)

		s.ok(nil, s.askRecovery(s.yan.email))
		code = s.code(rules.AccountRecovery, s.yan.email)
		wantStatus(t, "recovery by "+taken, s.recover(s.yan.email, code, xeno.method), protocol.StatusAuthMethodIDAlreadyExists)
		wantStatus(t, "a wrong code first", s.recover(s.yan.email, wrongOf(code), xeno.method), protocol.StatusInvalidValidationCode)
	}
	s.handle(s.yan)
}

// TestVaultItems are added once, and not replaced.
func TestVaultItems(t *testing.T) {
	f := newAccountFixture(t)
	zoe, yan := f.owner(f.newAccount("zoe")), f.owner(f.newAccount("yan"))
	f.ok(nil, f.upload(zoe, 1, "one"))
	f.ok(nil, f.upload(zoe, 2, ""))
	wantStatus(t, "again", f.upload(zoe, 1, "other"), protocol.StatusFingerprintAlreadyExists)
	f.ok(nil, f.upload(yan, 1, "yan's"))
	want := protocol.VaultItems{fingerprint(1): []byte("one"), fingerprint(2): {}}
	reply, err := f.VaultItemList(t.Context(), zoe, nil)
	f.ok(nil, err)
	if !reflect.DeepEqual(reply.Items, want) || string(reply.KeyAccess) != "access" {
		t.Errorf("%q, %v", reply.KeyAccess, reply.Items)
	}
}

// TestVaultsAreBounded by the items, methods and bytes in them.
func TestVaultsAreBounded(t *testing.T) {
	f := newAccountFixture(t)
	zoe := f.owner(f.newAccount("zoe"))
	large := strings.Repeat("x", 5<<20)
	for i := range 2 {
		f.ok(nil, f.upload(zoe, i, large))
	}
	wantStatus(t, "one byte too many", f.upload(zoe, 2, large[:len(large)-len("access")+1]), aborted(rules.VaultFull))
	wantStatus(t, "what is there, in a full vault", f.upload(zoe, 1, large), protocol.StatusFingerprintAlreadyExists)
	f.ok(nil, f.upload(zoe, 2, large[:len(large)-len("access")]))
	_, err := f.addMethod(zoe, "zoe's key", nil)
	wantStatus(t, "a method in a full vault", err, aborted(rules.VaultFull))
	rotated := protocol.VaultItems{fingerprint(0): []byte(large), fingerprint(1): []byte(large), fingerprint(2): []byte(large)}
	_, err = f.rotate(zoe, "zoe's next vault", rotated)
	wantStatus(t, "a rotation to too many bytes", err, aborted(rules.VaultFull))
	rotated[fingerprint(2)] = []byte(large[:len(large)-len("access of zoe's next vault")])
	_, err = f.rotate(zoe, "zoe's next vault", rotated)
	f.ok(nil, err)

	yan := f.newAccount("yan")
	f.fill(yan.email, 999, 999)
	by := f.owner(yan)
	f.ok(nil, f.upload(by, 1, ""))
	wantStatus(t, "the 1,001st item", f.upload(by, 2, ""), aborted(rules.VaultFull))
	_, err = f.addMethod(by, "the last one", nil)
	f.ok(nil, err)
	_, err = f.addMethod(by, "one more", nil)
	wantStatus(t, "the 1,001st method", err, aborted(rules.VaultFull))
}

// fill adds items and methods until the vault of an e-mail has so many.
func (f *accountFixture) fill(email string, items, methods int) {
	f.t.Helper()
	for i := range items {
		item := protocol.Fingerprint{31: 1, 0: byte(i), 1: byte(i >> 8)}
		scope := rules.AccountScope{Email: address(email), Item: &item}
		if i < methods-1 { // but for the first one
			scope.Methods = []parsec3.AuthMethodID{{15: 7, 0: byte(i), 1: byte(i >> 8)}}
		}
		f.ok(nil, f.store.UpdateAccount(f.t.Context(), scope, func(tx rules.AccountTx) error {
			tx.AddItem(rules.VaultItem{Fingerprint: item})
			for _, id := range scope.Methods {
				tx.AddAuthMethod(rules.AuthMethod{ID: id})
			}
			return nil
		}))
	}
}

// TestRotation has a new vault with the same items, and every method disabled.
func TestRotation(t *testing.T) {
	s := newMethodScenario(t)
	zoe := s.owner(s.zoe)
	s.ok(nil, s.upload(zoe, 1, "one"))
	for name, items := range map[string]protocol.VaultItems{
		"too few": nil, "too many": {fingerprint(1): nil, fingerprint(2): nil}, "others": {fingerprint(2): nil},
	} {
		_, err := s.rotate(zoe, name, items)
		wantStatus(t, name, err, protocol.StatusItemsMismatch)
	}
	s.clock.advance(time.Second)
	next, err := s.rotate(zoe, "zoe's next vault", protocol.VaultItems{fingerprint(1): []byte("one again")})
	s.ok(nil, err)
	for _, h := range []*holder{s.zoe, s.key} {
		_, err := s.admit(h)
		wantStatus(t, "a method of before", err, aborted(rules.UnknownAuthMethod))
	}
	wantStatus(t, "an upload of before", s.upload(zoe, 2, "two"), aborted(rules.UnknownAuthMethod))
	if got := s.items(s.owner(next)); string(got[fingerprint(1)]) != "one again" || len(got) != 1 {
		t.Errorf("items %v", got)
	}
	s.wantVaults(next, []vaultWanted{
		{[]string{"access", "access of zoe's key"}, 2, map[string]string{"\x01": "one"}},
		{[]string{"access of zoe's next vault"}, 0, map[string]string{"\x01": "one again"}},
	})
}

// vaultWanted is a vault: the accesses of its methods, how many of these are disabled,
// and its items by the first byte of their fingerprints.
type vaultWanted struct {
	accesses []string
	disabled int
	items    map[string]string
}

func (f *accountFixture) wantVaults(h *holder, want []vaultWanted) {
	f.t.Helper()
	reply, err := f.VaultItemRecoveryList(f.t.Context(), f.owner(h), nil)
	f.ok(nil, err)
	var got []vaultWanted
	for _, vault := range append(slices.Clone(reply.PreviousVaults), reply.CurrentVault) {
		seen := vaultWanted{items: map[string]string{}}
		for _, method := range vault.AuthMethods {
			seen.accesses = append(seen.accesses, string(method.VaultKeyAccess))
			if method.DisabledOn != nil {
				seen.disabled++
			}
		}
		slices.Sort(seen.accesses)
		for fingerprint, item := range vault.VaultItems {
			seen.items[string(fingerprint[:1])] = string(item)
		}
		got = append(got, seen)
	}
	if !reflect.DeepEqual(got, want) {
		f.t.Errorf("vaults\n%v\nwant\n%v", got, want)
	}
}

// TestRecovery begins an empty vault, disables every method, and tells the owner.
func TestRecovery(t *testing.T) {
	s := newMethodScenario(t)
	s.ok(nil, s.upload(s.owner(s.zoe), 1, "one"))
	s.ok(nil, s.askRecovery(s.zoe.email))
	code := s.code(rules.AccountRecovery, s.zoe.email)
	recovered := &holder{method: parsec3.AuthMethodID{9}, key: protocol.MACKey{7}}
	s.ok(nil, s.recover(s.zoe.email, code, recovered.method))
	want := []rules.AccountMail{{To: s.zoe.email, Kind: rules.AccountRecovered, On: s.clock.now(), From: peer.Address}}
	if got := s.mails(); !reflect.DeepEqual(got, want) {
		t.Errorf("e-mails %+v", got)
	}
	for _, h := range []*holder{s.zoe, s.key} {
		_, err := s.admit(h)
		wantStatus(t, "a method of before", err, aborted(rules.UnknownAuthMethod))
	}
	if got := s.items(s.owner(recovered)); len(got) > 0 {
		t.Errorf("items %v", got)
	}
	s.wantVaults(recovered, []vaultWanted{
		{[]string{"access", "access of zoe's key"}, 2, map[string]string{"\x01": "one"}},
		{[]string{"recovered"}, 0, map[string]string{}},
	})
	wantStatus(t, "the code is used up", s.recover(s.zoe.email, code, parsec3.AuthMethodID{8}), protocol.StatusSendValidationEmailRequired)
	wantStatus(t, "nobody", s.recover("nobody@example.com", code, parsec3.AuthMethodID{8}), protocol.StatusSendValidationEmailRequired)
	s.handle(s.yan)
}

// TestOldVaultsGo: 20 are kept beside the current one, of 15 MiB in all.
func TestOldVaultsGo(t *testing.T) {
	f := newAccountFixture(t)
	h := f.newAccount("zoe")
	vaults := func() int {
		reply, err := f.VaultItemRecoveryList(t.Context(), f.owner(h), nil)
		f.ok(nil, err)
		return len(reply.PreviousVaults)
	}
	for i := range 22 {
		var err error
		h, err = f.rotate(f.owner(h), fmt.Sprint("vault ", i), nil)
		f.ok(nil, err)
		if got, want := vaults(), min(i+1, 20); got != want {
			t.Errorf("%d vaults, want %d", got, want)
		}
	}
	// A method of a vault that is gone may come again.
	_, err := f.addMethod(f.owner(h), "zoe", nil)
	f.ok(nil, err)
	item := strings.Repeat("x", 10<<20)
	f.ok(nil, f.upload(f.owner(h), 1, item))
	for i := range 2 { // the second one has no place any more
		h, err = f.rotate(f.owner(h), fmt.Sprint("large vault ", i), protocol.VaultItems{fingerprint(1): []byte(item)})
		f.ok(nil, err)
	}
	if got := vaults(); got != 1 {
		t.Errorf("%d vaults, want the last one alone", got)
	}

	// One that came from elsewhere may be larger than all may be.
	h = f.newAccount("yan")
	scope := rules.AccountScope{Email: address(h.email), Item: new(fingerprint(1))}
	f.ok(nil, f.store.UpdateAccount(t.Context(), scope, func(tx rules.AccountTx) error {
		tx.AddItem(rules.VaultItem{Fingerprint: *scope.Item, Data: make([]byte, 15<<20)})
		return nil
	}))
	f.ok(nil, f.askRecovery(h.email))
	recovered := &holder{method: parsec3.AuthMethodID{9}, key: protocol.MACKey{7}}
	f.ok(nil, f.recover(h.email, f.code(rules.AccountRecovery, h.email), recovered.method))
	if h = recovered; vaults() != 1 {
		t.Error("the latest vault is not kept, as it is large")
	}
}

// TestDeletion erases: what comes again is new.
func TestDeletion(t *testing.T) {
	s := newMethodScenario(t)
	s.ok(nil, s.upload(s.owner(s.zoe), 1, "one"))
	s.ok(nil, s.askRecovery(s.zoe.email))
	recovery := s.code(rules.AccountRecovery, s.zoe.email)
	author := s.owner(s.zoe)
	s.ok(nil, s.askDeletion(s.zoe))
	code := s.code(rules.AccountDeletion, s.zoe.email)
	s.ok(nil, s.delete(s.zoe, code))
	_, err := s.admit(s.zoe)
	wantStatus(t, "its token", err, aborted(rules.UnknownAuthMethod))
	for name, run := range s.commandsOf(author) {
		wantStatus(t, name, run(), aborted(rules.UnknownAuthMethod))
	}
	wantStatus(t, "the code of a recovery", s.recover(s.zoe.email, recovery, parsec3.AuthMethodID{9}), protocol.StatusSendValidationEmailRequired)
	// The same password makes the same method.
	again := s.newAccount("zoe")
	if got := s.items(s.owner(again)); len(got) > 0 {
		t.Errorf("items %v", got)
	}
	s.wantVaults(again, []vaultWanted{{[]string{"access"}, 0, map[string]string{}}})
	wantStatus(t, "the code of a recovery", s.recover(s.zoe.email, recovery, parsec3.AuthMethodID{9}), protocol.StatusSendValidationEmailRequired)
	wantStatus(t, "the code of the deletion", s.delete(again, code), protocol.StatusSendValidationEmailRequired)
	s.handle(s.yan)
}

// commandsOf are those of an author that need an account.
func (f *accountFixture) commandsOf(author *rules.AccountAuthor) map[string]func() error {
	ctx := f.t.Context()
	return map[string]func() error{
		"account_info": func() error { return status2(f.AccountInfo(ctx, author, nil)) },
		"account_delete_send_validation_email": func() error {
			return status2(f.AccountDeleteSendValidationEmail(ctx, author, nil))
		},
		"account_delete_proceed": func() error {
			return status2(f.AccountDeleteProceed(ctx, author, &protocol.AccountDeleteProceedRequest{}))
		},
		"auth_method_list": func() error { return status2(f.AuthMethodList(ctx, author, nil)) },
		"auth_method_create": func() error {
			_, err := f.addMethod(author, "zoe", nil)
			return err
		},
		"auth_method_disable":      func() error { return f.disable(author, author.Method) },
		"vault_item_list":          func() error { return status2(f.VaultItemList(ctx, author, nil)) },
		"vault_item_upload":        func() error { return f.upload(author, 1, "one") },
		"vault_item_recovery_list": func() error { return status2(f.VaultItemRecoveryList(ctx, author, nil)) },
		"vault_key_rotation": func() error {
			_, err := f.rotate(author, "zoe", protocol.VaultItems{{1}: nil})
			return err
		},
		"organization_self_list": func() error { return status2(f.OrganizationSelfList(ctx, author, nil)) },
		"invite_self_list":       func() error { return status2(f.InviteSelfList(ctx, author, nil)) },
	}
}

func status2(_ any, err error) error { return err }

// TestDisabledMeanwhile: a method that is disabled while a command is on its way is 403,
// before anything else.
func TestDisabledMeanwhile(t *testing.T) {
	s := newMethodScenario(t)
	author := s.owner(s.key)
	s.ok(nil, s.disable(s.owner(s.zoe), s.key.method))
	for name, run := range s.commandsOf(author) {
		wantStatus(t, name, run(), aborted(rules.UnknownAuthMethod))
	}
}

// TestDeletionMailIsAwaited: who is known is told what became of it.
func TestDeletionMailIsAwaited(t *testing.T) {
	f := newAccountFixture(t)
	zoe := f.newAccount("zoe")
	for sent, want := range map[protocol.EmailSent]protocol.Status{
		protocol.EmailSuccess: protocol.StatusOK, protocol.EmailRecipientRefused: protocol.StatusEmailRecipientRefused,
		protocol.EmailServerUnavailable: protocol.StatusEmailServerUnavailable,
	} {
		f.office.answers = sent
		wantStatus(t, string(sent), f.askDeletion(zoe), want)
	}
}

// TestMailLimit is that of a mailbox and of a network, whatever they are about.
func TestMailLimit(t *testing.T) {
	f := newAccountFixture(t, withOptions(func(o *rules.Options) { o.MailLimit = rules.MailLimit{MinDelay: time.Minute, MaxPerHour: 3} }))
	begin := f.clock.now()
	from := func(ip string) rules.Peer { return rules.Peer{Address: must(parsec.ParsePeerNetwork(ip)).Addr()} }
	ask := func(ip, email string) error {
		_, err := f.AccountCreateSendValidationEmail(t.Context(), from(ip), &protocol.AccountCreateSendValidationEmailRequest{Email: address(email)})
		return err
	}
	limited := func(what string, err error, until time.Duration) {
		t.Helper()
		wantStatus(t, what, err, protocol.StatusEmailSendingRateLimited)
		if got := detailsOf[protocol.RateLimitedDetails](err).WaitUntil; got != begin.Add(until) {
			t.Errorf("%s: until %v, want %v", what, got.Sub(begin), until)
		}
	}
	f.ok(nil, ask("192.0.2.1", "zoe@example.com"))
	limited("the same", ask("192.0.2.1", "zoe@example.com"), time.Minute)
	limited("the same mailbox in other letters, from elsewhere", ask("192.0.2.2", "Zoe+tag@Example.com"), time.Minute)
	limited("another mailbox, from there", ask("192.0.2.1", "yan@example.com"), time.Minute)
	f.ok(nil, ask("192.0.2.2", "yan@example.com"))
	f.ok(nil, ask("2001:db8::1", "a@example.com"))
	limited("the same network", ask("2001:db8::ffff:1:2:3", "b@example.com"), time.Minute)
	f.ok(nil, ask("2001:db8:0:1::1", "b@example.com"))
	_, err := f.AccountRecoverSendValidationEmail(t.Context(), from("192.0.2.9"), &protocol.AccountRecoverSendValidationEmailRequest{Email: address("zoe@example.com")})
	limited("of another kind", err, time.Minute)
	f.clock.advance(time.Minute)
	f.ok(nil, ask("192.0.2.1", "zoe@example.com"))
	f.clock.advance(time.Minute)
	f.ok(nil, ask("192.0.2.3", "zoe@example.com"))
	f.clock.advance(time.Minute)
	limited("the fourth in an hour", ask("192.0.2.4", "zoe@example.com"), time.Hour)
	limited("the fourth of a mailbox and a network together", ask("192.0.2.1", "yan@example.com"), time.Hour)
	f.ok(nil, ask("192.0.2.1", "w@example.com"))
	f.clock.advance(time.Minute)
	limited("the fourth from there", ask("192.0.2.1", "new@example.com"), time.Hour)
	f.clock.advance(begin.Add(time.Hour).Sub(f.clock.now()))
	f.ok(nil, ask("192.0.2.4", "zoe@example.com"))
	// Whose address is unknown shares it with nobody.
	for _, email := range []string{"x@example.com", "y@example.com"} {
		_, err := f.AccountCreateSendValidationEmail(t.Context(), rules.Peer{}, &protocol.AccountCreateSendValidationEmailRequest{Email: address(email)})
		f.ok(nil, err)
	}
	if got := len(f.mails()); got != 10 {
		t.Errorf("%d e-mails", got)
	}

	f = newAccountFixture(t, withOptions(func(o *rules.Options) { o.MailLimit = rules.MailLimit{MinDelay: 24 * time.Hour} }))
	begin = f.clock.now()
	f.ok(nil, ask("192.0.2.1", "zoe@example.com"))
	f.clock.advance(24*time.Hour - time.Microsecond)
	limited("within a day, if one is sent a day", ask("192.0.2.2", "zoe@example.com"), 24*time.Hour)
	f.clock.advance(time.Microsecond)
	f.ok(nil, ask("192.0.2.2", "zoe@example.com"))
}

// TestMailboxes that are one, and that are not.
func TestMailboxes(t *testing.T) {
	for email, want := range map[string]string{
		"zoe@example.com": "zoe@example.com", "Zoe@EXAMPLE.com": "zoe@example.com", "zoe+a+b@example.com": "zoe@example.com",
		"+zoe@example.com": "+zoe@example.com", `"zoe+a"@example.com`: `"zoe+a"@example.com`, "zoe.a@example.com": "zoe.a@example.com",
		" zoe@example.com": "zoe@example.com", " Zoe+a@example.com ": "zoe@example.com", // as they are sent
	} {
		if got := rules.MailboxOf(email); got != want {
			t.Errorf("%s is %s", email, got)
		}
	}
}

// TestOrganizationSelfList has the users of the e-mail in whatever letters, by
// organization.
func TestOrganizationSelfList(t *testing.T) {
	f := newAccountFixture(t)
	alice := f.newAccount("ALICE")
	f.setProfile(bobID, parsec.ProfileAdmin)
	limit := uint64(9)
	f.changeOrganization(acme, func(o *organization.Organization) { o.ActiveUsersLimit = &limit })
	list := func(h *holder) *protocol.OrganizationSelfListReply {
		t.Helper()
		reply, err := f.OrganizationSelfList(t.Context(), f.owner(h), nil)
		f.ok(nil, err)
		return reply
	}
	config := protocol.SelfOrganizationConfig{
		UserProfileOutsiderAllowed: true, ActiveUsersLimit: &limit, AllowedClientAgent: "NATIVE_OR_WEB", AccountVaultStrategy: "ALLOWED",
	}
	created := f.clock.now()
	reply := list(alice)
	if len(reply.Active) == 1 {
		created = reply.Active[0].CreatedOn
	}
	want := protocol.OrganizationSelfListReply{Active: []protocol.ActiveSelf{{
		OrganizationID: acme, UserID: aliceID, CreatedOn: created, CurrentProfile: parsec.ProfileAdmin, OrganizationConfig: config,
	}}}
	if !reflect.DeepEqual(*reply, want) {
		t.Errorf("%+v", reply)
	}
	f.ok(f.UserRevoke(t.Context(), f.bob(), f.revocation(f.bob(), aliceID).request()))
	f.expire()
	reply = list(alice)
	if len(reply.Active) != 0 || len(reply.Revoked) != 1 || reply.Revoked[0].UserID != aliceID || reply.Revoked[0].RevokedOn != f.clock.now() {
		t.Errorf("%+v", reply)
	}
	bob := f.newAccount("bob")
	if reply := list(bob); len(reply.Active) != 1 || !reply.Active[0].OrganizationConfig.IsExpired || reply.Active[0].IsFrozen {
		t.Errorf("%+v", reply)
	}
	if reply := list(f.newAccount("nobody")); len(reply.Active)+len(reply.Revoked) != 0 {
		t.Errorf("%+v", reply)
	}
}

// TestInviteSelfList has what is pending alone, of organizations that have not expired.
func TestInviteSelfList(t *testing.T) {
	f := newAccountFixture(t)
	zoe, bob := f.newAccount("ZOE"), f.newAccount("bob")
	list := func(h *holder) []protocol.SelfInvitation {
		t.Helper()
		reply, err := f.InviteSelfList(t.Context(), f.owner(h), nil)
		f.ok(nil, err)
		return reply.Invitations
	}
	want := func(h *holder, invitations ...protocol.SelfInvitation) {
		t.Helper()
		if got := list(h); len(got)+len(invitations) > 0 && !reflect.DeepEqual(got, invitations) {
			t.Errorf("%v, want %v", got, invitations)
		}
	}
	want(zoe)
	first := f.inviteUser(f.alice(), "zoe@example.com")
	f.inviteUser(f.alice(), "yan@example.com")
	device := f.inviteDevice(f.bob())
	f.inviteDevice(f.alice())
	want(zoe, protocol.SelfInvitation{OrganizationID: acme, Token: first, Type: parsec.InvitationUser})
	want(bob, protocol.SelfInvitation{OrganizationID: acme, Token: device, Type: parsec.InvitationDevice})
	f.cancel(first)
	want(zoe)
	second := f.inviteUser(f.alice(), "Zoe@example.com")
	want(zoe, protocol.SelfInvitation{OrganizationID: acme, Token: second, Type: parsec.InvitationUser})
	f.clock.advance(time.Second)
	setup := f.shamirSetup(f.bob(), aliceID)
	setup.brief.Threshold = 1
	f.setUp(f.bob(), setup)
	recovery := f.inviteRecovery(f.alice())
	want(bob, protocol.SelfInvitation{OrganizationID: acme, Token: device, Type: parsec.InvitationDevice},
		protocol.SelfInvitation{OrganizationID: acme, Token: recovery, Type: parsec.InvitationShamirRecovery})
	f.deleteSetup(f.bob(), setup)
	want(bob, protocol.SelfInvitation{OrganizationID: acme, Token: device, Type: parsec.InvitationDevice})
	f.revoke(bobID)
	want(bob)
	f.expire()
	want(zoe)
}

// TestUserAgents that no text of the protocol has are written otherwise, and cut.
func TestUserAgents(t *testing.T) {
	f := newAccountFixture(t)
	zoe := f.owner(f.newAccount("zoe"))
	for i, agent := range []string{"caf\xe9", strings.Repeat("é", 600)} {
		zoe.Peer = rules.Peer{UserAgent: agent}
		_, err := f.addMethod(zoe, fmt.Sprint("method ", i), nil)
		f.ok(nil, err)
	}
	list, err := f.AuthMethodList(t.Context(), zoe, nil)
	f.ok(nil, err)
	agents := map[string]bool{}
	for _, item := range list.Items {
		agents[item.CreatedByUserAgent] = item.CreatedByIP == ""
	}
	if want := map[string]bool{"Agent/1": false, "caf\uFFFD": true, strings.Repeat("é", 512): true}; !maps.Equal(agents, want) {
		t.Errorf("agents %v", agents)
	}
}

// TestWeakPasswords are no request, nor absurd ones.
func TestWeakPasswords(t *testing.T) {
	for _, test := range []struct {
		memory, operations, parallelism uint32
		good                            bool
	}{
		{131072, 3, 1, true}, {4194304, 100, 16, true},
		{131071, 3, 1, false}, {131072, 2, 1, false}, {131072, 3, 0, false},
		{4194305, 3, 1, false}, {131072, 101, 1, false}, {131072, 3, 17, false},
	} {
		algorithm := &protocol.PasswordAlgorithm{Type: protocol.Argon2ID, MemlimitKB: test.memory, Opslimit: test.operations, Parallelism: test.parallelism}
		creation := newHolder("zoe").creation(parsec3.ValidationCode{})
		creation.AccountCreateStep.AuthMethodPasswordAlgorithm = algorithm
		for _, request := range []interface{ Validate() error }{
			creation, &protocol.AccountRecoverProceedRequest{NewAuthMethodPasswordAlgorithm: algorithm},
			&protocol.AuthMethodCreateRequest{AuthMethodPasswordAlgorithm: algorithm}, &protocol.VaultKeyRotationRequest{NewAuthMethodPasswordAlgorithm: algorithm},
		} {
			if err := request.Validate(); (err == nil) != test.good {
				t.Errorf("%T with %+v: %v", request, *algorithm, err)
			}
		}
	}
	if err := checkOf("zoe@example.com", parsec3.ValidationCode{}).Validate(); err != nil {
		t.Error(err)
	}
	foreign := newHolder("zoe").creation(parsec3.ValidationCode{})
	foreign.AccountCreateStep.HumanHandle = must(parsec.ParseHumanHandle("zoé@example.com", "Zoé"))
	if foreign.Validate() == nil {
		t.Error("an e-mail address that clients cannot read is taken")
	}
}
