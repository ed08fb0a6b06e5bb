package parsec3_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/blake2b"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

// replayMailer sends everything, and keeps the codes of accounts by e-mail address.
type replayMailer struct {
	rules.Mailer

	mu    sync.Mutex
	codes map[string]string
}

func (m *replayMailer) SendAccount(_ context.Context, mail rules.AccountMail) protocol.EmailSent {
	m.mu.Lock()
	defer m.mu.Unlock()
	if mail.Code != "" {
		m.codes[mail.To] = mail.Code
	}
	return protocol.EmailSuccess
}

func (*replayMailer) SendEnrollmentAccepted(context.Context, rules.EnrollmentMail) protocol.EmailSent {
	return protocol.EmailSuccess
}

// code returns the last one of an e-mail address, once it is sent.
func (m *replayMailer) code(settle func(), email string) string {
	settle()
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.codes[email]
}

// replayAccounts replays what is recorded of accounts: those of this project one by one,
// then those of the official client.
func replayAccounts(r *replay) {
	play := func(names ...string) {
		for _, name := range names {
			r.play(r.exchange(name))
		}
	}
	r.at(r.date("22:06:14"))
	play("auth_method_password_get_algorithm", "account_create_send_validation_email")
	const email = "acc5eda655925@example.com"
	r.playWithCode("account_create_proceed_check", email)
	play("account_create_invalid_code")
	r.playWithCode("account_create_proceed_create", email)
	play("account_info", "account_email_recipient_refused")
	replayRecovery(r)
	replayDeletion(r)
	replayMethods(r)
	replayVault(r)
	replaySelfLists(r)
	replayOfficialAccount(r)
}

// playWithCode is play, with the code that we have sent in place of the recorded one.
func (r *replay) playWithCode(name, email string) {
	r.t.Helper()
	e := r.exchange(name)
	fields := e.Request.Decoded.fields(r.t)
	if step, has := fields["account_create_step"]; has {
		fields = step.(map[any]any)
	}
	ours := r.mails.code(r.settle, email)
	recorded := e.Request.Raw
	e.Request.Raw = bytes.Replace(recorded, []byte(fields["validation_code"].(string)), []byte(ours), 1)
	r.play(e)
	e.Request.Raw = recorded
}

// playAs is play with a token of ours, by the key of nobody: that of the method is not
// recorded.
func (r *replay) playAs(name string) {
	r.t.Helper()
	e := r.exchange(name)
	recorded := e.Request.Headers["authorization"]
	signed := strings.TrimPrefix(recorded[:strings.LastIndexByte(recorded, '.')], "Bearer ")
	hash, err := blake2b.New512(make([]byte, 32))
	r.ok(err)
	hash.Write([]byte(signed))
	e.Request.Headers["authorization"] = "Bearer " + signed + "." + base64.URLEncoding.EncodeToString(hash.Sum(nil))
	r.play(e)
	e.Request.Headers["authorization"] = recorded
}

// methodOf returns that of the token of an exchange.
func (r *replay) methodOf(name string) parsec3.AuthMethodID {
	r.t.Helper()
	id, err := parsec.ParseUUID(strings.Split(r.exchange(name).Request.Headers["authorization"], ".")[1])
	r.ok(err)
	return parsec3.AuthMethodID(id)
}

// addAccount puts an account into the store, with its first method, and items.
func (r *replay) addAccount(email string, method rules.AuthMethod, items ...rules.VaultItem) {
	r.t.Helper()
	method.CreatedByIP, method.CreatedByUserAgent = "127.0.0.1", "Parsec-Client/3.9.3 Linux"
	address, err := parsec3.ParseEmailAddress(email)
	r.ok(err)
	handle, err := parsec3.ParseHumanHandle(email, "Some One")
	r.ok(err)
	scope := rules.AccountScope{Email: address, Methods: []parsec3.AuthMethodID{method.ID}}
	r.ok(r.store.UpdateAccount(r.ctx, scope, func(tx rules.AccountTx) error {
		tx.CreateAccount(rules.Account{ID: rules.AccountID(parsec.NewUUID()), HumanHandle: handle}, method)
		return nil
	}))
	for _, item := range items {
		scope := rules.AccountScope{Email: address, Item: &item.Fingerprint}
		r.ok(r.store.UpdateAccount(r.ctx, scope, func(tx rules.AccountTx) error {
			tx.AddItem(item)
			return nil
		}))
	}
}

// recordedMethod reads one of a reply.
func recordedMethod(fields map[any]any) rules.AuthMethod {
	method := rules.AuthMethod{
		ID:             parsec3.AuthMethodID(fields["auth_method_id"].(parsec.UUID)),
		CreatedOn:      fields["created_on"].(parsec.DateTime),
		VaultKeyAccess: fields["vault_key_access"].([]byte),
	}
	if fields["password_algorithm"] != nil {
		method.PasswordAlgorithm = &protocol.WeakestAlgorithm
	}
	return method
}

func replayRecovery(r *replay) {
	const email = "accaaf6ebcc89@example.com"
	reply := r.exchange("vault_item_recovery_list").Reply.Decoded.fields(r.t)
	previous := reply["previous_vaults"].([]any)[0].(map[any]any)
	current := reply["current_vault"].(map[any]any)["auth_methods"].([]any)[0].(map[any]any)
	r.addAccount(email, recordedMethod(previous["auth_methods"].([]any)[0].(map[any]any)), recordedItems(previous["vault_items"])...)
	r.play(r.exchange("account_recover_send_validation_email"))
	r.at(current["created_on"].(parsec.DateTime))
	r.playWithCode("account_recover_proceed", email)
	r.play(r.exchange("vault_item_recovery_list"))
}

func recordedItems(recorded any) (items []rules.VaultItem) {
	for fingerprint, data := range recorded.(map[any]any) {
		items = append(items, rules.VaultItem{Fingerprint: protocol.Fingerprint(fingerprint.([32]byte)), Data: data.([]byte)})
	}
	return items
}

func replayDeletion(r *replay) {
	const email = "deleted@example.com"
	r.addAccount(email, rules.AuthMethod{ID: r.methodOf("account_delete_proceed")})
	r.playAs("account_delete_send_validation_email")
	e := r.exchange("account_delete_proceed")
	recorded := e.Request.Raw
	e.Request.Raw = bytes.Replace(recorded, []byte(e.Request.Decoded.fields(r.t)["validation_code"].(string)), []byte(r.mails.code(r.settle, email)), 1)
	r.playAs(e.Name)
	e.Request.Raw = recorded
}

func replayMethods(r *replay) {
	listed := r.exchange("auth_method_list").Reply.Decoded.fields(r.t)["items"].([]any)[0].(map[any]any)
	const email = "methods@example.com"
	r.addAccount(email, recordedMethod(listed))
	r.playAs("auth_method_list")
	address, err := parsec3.ParseEmailAddress(email)
	r.ok(err)
	other := parsec3.AuthMethodID(r.exchange("auth_method_disable").Request.Decoded.fields(r.t)["auth_method_id"].(parsec.UUID))
	r.ok(r.store.UpdateAccount(r.ctx, rules.AccountScope{Email: address, Methods: []parsec3.AuthMethodID{other}}, func(tx rules.AccountTx) error {
		tx.AddAuthMethod(rules.AuthMethod{ID: other})
		return nil
	}))
	r.playAs("auth_method_create")
	r.playAs("auth_method_disable")
}

func replayVault(r *replay) {
	reply := r.exchange("vault_item_list").Reply.Decoded.fields(r.t)
	uploaded := protocol.Fingerprint(r.exchange("vault_item_upload").Request.Decoded.fields(r.t)["item_fingerprint"].([]byte))
	var before []rules.VaultItem
	for _, item := range recordedItems(reply["items"]) {
		if item.Fingerprint != uploaded {
			before = append(before, item)
		}
	}
	r.addAccount("vault@example.com", rules.AuthMethod{ID: r.methodOf("vault_item_list"), VaultKeyAccess: reply["key_access"].([]byte)}, before...)
	for _, name := range []string{"vault_item_upload", "vault_item_list", "vault_key_rotation"} {
		r.playAs(name)
	}
}

// replaySelfLists has the owner of an account be a user of three organizations, and
// invited to another one.
func replaySelfLists(r *replay) {
	const email = "self@example.com"
	r.addAccount(email, rules.AuthMethod{ID: r.methodOf("organization_self_list")})
	reply := r.exchange("organization_self_list").Reply.Decoded.fields(r.t)
	found := func(fields map[any]any) *state {
		return r.foundBy(founder{
			organization: fields["organization_id"].(string), device: pingDevice, email: email, label: "Some One",
			on: fields["created_on"].(parsec.DateTime), user: parsec3.UserID(fields["user_id"].(parsec.UUID)),
		})
	}
	states := map[string]*state{}
	for _, listed := range append(reply["active"].([]any), reply["revoked"].([]any)...) {
		fields := listed.(map[any]any)
		s := found(fields)
		states[fields["organization_id"].(string)] = s
		profile := parsec.UserProfile(fields["current_profile"].(string))
		s.update(rules.Scope{Common: rules.Exclusive}, func(tx rules.Tx) {
			tx.UpdateProfile(s.author.User, profile, s.signed(fields["created_on"].(parsec.DateTime)+1))
			if revoked, is := fields["revoked_on"].(parsec.DateTime); is {
				tx.RevokeUser(s.author.User, s.signed(revoked))
			}
			if frozen, is := fields["is_frozen"].(bool); is {
				tx.FreezeUser(s.author.User, frozen)
			}
		})
		if config, is := fields["organization_config"].(map[any]any); is {
			s.configure(config, fields["created_on"].(parsec.DateTime))
		}
	}
	states["Org05719a80e890"] = r.foundBy(founder{organization: "Org05719a80e890", device: pingDevice, on: r.clock.Now()})
	r.playAs("organization_self_list")
	for _, listed := range r.exchange("invite_self_list").Reply.Decoded.fields(r.t)["invitations"].([]any) {
		fields := listed.([]any)
		s := states[fields[0].(string)]
		invitation := rules.Invitation{
			CreatedBy: rules.Person{User: s.author.User}, CreatedOn: r.clock.Now(), Claimer: rules.Claimer{Type: parsec.InvitationType(fields[2].(string))},
		}
		r.ok(invitation.Token.UnmarshalBinary(fields[1].([]byte)))
		switch invitation.Claimer.Type {
		case parsec.InvitationUser:
			invitation.Claimer.Email = strings.ToUpper(email[:1]) + email[1:]
		case parsec.InvitationShamirRecovery:
			invitation.Claimer.User, invitation.Claimer.Setup = s.author.User, s.setUpShamir()
		default:
			invitation.Claimer.User = s.author.User
		}
		s.update(rules.Scope{Common: rules.Shared, Invitations: rules.Exclusive}, func(tx rules.Tx) { tx.CreateInvitation(invitation) })
	}
	r.playAs("invite_self_list")
}

// setUpShamir has the author of the organization have a Shamir recovery, and returns its
// date.
func (s *state) setUpShamir() parsec.DateTime {
	s.t.Helper()
	setup := rules.ShamirSetup{User: s.author.User, CreatedOn: s.clock.Now(), Threshold: 1, CipheredData: []byte("device")}
	brief := rules.Certificate{Timestamp: setup.CreatedOn, Author: s.author.Device, Bytes: []byte("brief")}
	s.update(rules.Scope{Common: rules.Shared, Shamir: rules.Exclusive}, func(tx rules.Tx) { tx.CreateShamirSetup(setup, brief, nil) })
	return setup.CreatedOn
}

// configure gives an organization recorded settings. It expires before a date.
func (s *state) configure(config map[any]any, before parsec.DateTime) {
	s.t.Helper()
	s.ok(s.store.ChangeOrganization(s.ctx, s.author.Organization, func(tx organization.Tx) error {
		stored, _ := tx.Organization()
		changed := *stored
		changed.UserProfileOutsiderAllowed = config["user_profile_outsider_allowed"].(bool)
		if limit, is := config["active_users_limit"].(int64); is {
			changed.ActiveUsersLimit = new(uint64(limit))
		}
		if config["is_expired"].(bool) {
			changed.ExpirationDate = new(before.Add(-time.Second))
		}
		tx.PutOrganization(changed)
		return nil
	}))
}

// replayOfficialAccount replays the official client, whose keys are recorded.
func replayOfficialAccount(r *replay) {
	of := func(name string) string { return "official client: " + name }
	const email = "zoe@example.com"
	_, err := r.rules.AccountCreateSendValidationEmail(r.ctx, rules.Peer{}, &protocol.AccountCreateSendValidationEmailRequest{Email: r.address(email)})
	r.ok(err)
	r.playWithCode(of("account_create_proceed"), email)
	for _, name := range []string{"login, wrong password", "login", "change of password", "login with the former password"} {
		r.play(r.exchange(of(name)))
	}
	list := of("vault_item_list")
	method := r.methodOf(list)
	r.addAccount("vault2@example.com", rules.AuthMethod{
		ID: method, MACKey: protocol.MACKey(r.captured.AccountMethods[method.String()].Key),
		VaultKeyAccess: r.exchange(list).Reply.Decoded.fields(r.t)["key_access"].([]byte),
	})
	for _, name := range []string{"vault_item_upload", "vault_item_list", "vault_item_upload, same user again"} {
		r.play(r.exchange(of(name)))
	}
}

func (r *replay) address(email string) parsec3.EmailAddress {
	r.t.Helper()
	address, err := parsec3.ParseEmailAddress(email)
	r.ok(err)
	return address
}

// replayLimit replays the e-mail that comes too early after another one.
func replayLimit(r *replay) {
	e := r.exchange("email_sending_rate_limited")
	until := e.Reply.Decoded.fields(r.t)["wait_until"].(parsec.DateTime)
	r.at(until.Add(-replayedLimit.MinDelay))
	email := e.Request.Decoded.fields(r.t)["email"].(string)
	_, err := r.rules.AccountRecoverSendValidationEmail(r.ctx, rules.Peer{}, &protocol.AccountRecoverSendValidationEmailRequest{Email: r.address(email)})
	r.ok(err)
	r.play(e)
}
