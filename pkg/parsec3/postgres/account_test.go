//go:build !without_postgresql

package postgres_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/blake2b"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/postgres"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

// accountCommands returns the commands of an account of a store.
func accountCommands(t *testing.T, store *postgres.Store) []command {
	t.Helper()
	office := make(postOffice, 1)
	parsec3, _ := newRulesWith(t, store, blockstore.NewMemory(), rules.Options{Accounts: protocol.AccountEnabledWithVault, Mailer: office})
	peer := rules.Peer{Address: netip.MustParseAddr("192.0.2.1"), UserAgent: "Agent"}
	p := &accountTour{rules: parsec3, peer: peer, office: office}
	return append(p.strangers(), p.owners()...)
}

// accountTour sends the commands of an account, in order, each as often as one likes.
type accountTour struct {
	rules  *rules.Rules
	peer   rules.Peer
	office postOffice
	// number makes each account, and each method, another one.
	number int
	email  string
	author *rules.AccountAuthor
	code   parsec3.ValidationCode
}

// postOffice has the last e-mail.
type postOffice chan rules.AccountMail

func (p postOffice) SendInvitation(context.Context, rules.InvitationMail) protocol.EmailSent {
	panic("no invitation")
}

func (p postOffice) SendEnrollmentAccepted(context.Context, rules.EnrollmentMail) protocol.EmailSent {
	panic("no enrollment")
}

func (p postOffice) SendTOTPReset(context.Context, rules.TOTPMail) organization.EmailOutcome {
	panic("no second factor")
}

func (p postOffice) SendAccount(_ context.Context, mail rules.AccountMail) protocol.EmailSent {
	p <- mail
	return protocol.EmailSuccess
}

// read keeps the code of the e-mail that was sent.
func (a *accountTour) read(err error) error {
	if err == nil {
		a.code, err = parsec3.ParseValidationCode((<-a.office).Code)
	}
	return err
}

func (a *accountTour) address() parsec3.EmailAddress { return must(parsec3.ParseEmailAddress(a.email)) }

func (a *accountTour) next() parsec3.AuthMethodID {
	a.number++
	return parsec3.AuthMethodID{15, byte(a.number)}
}

func (a *accountTour) strangers() []command {
	return []command{
		{"auth_method_password_get_algorithm", func(ctx context.Context) error {
			a.email = fmt.Sprintf("zoe%d@example.com", a.number)
			_, err := a.rules.AuthMethodPasswordGetAlgorithm(ctx, a.peer, &protocol.AuthMethodPasswordGetAlgorithmRequest{Email: a.address()})
			return err
		}},
		{"account_create", func(ctx context.Context) error {
			method := a.next()
			a.email = fmt.Sprintf("zoe%d@example.com", a.number)
			_, err := a.rules.AccountCreateSendValidationEmail(ctx, a.peer, &protocol.AccountCreateSendValidationEmailRequest{Email: a.address()})
			if err := a.read(err); err != nil {
				return err
			}
			_, err = a.rules.AccountCreateProceed(ctx, a.peer, &protocol.AccountCreateProceedRequest{AccountCreateStep: protocol.AccountCreateStep{
				Step: protocol.AccountCreate, ValidationCode: a.code, HumanHandle: must(parsec3.ParseHumanHandle(a.email, "Zoe")),
				AuthMethodPasswordAlgorithm: &protocol.WeakestAlgorithm, AuthMethodID: method, VaultKeyAccess: []byte("access"),
			}})
			a.author = &rules.AccountAuthor{Email: a.address(), Method: method, Peer: a.peer}
			return err
		}},
		{"account_recover", func(ctx context.Context) error {
			_, err := a.rules.AccountRecoverSendValidationEmail(ctx, a.peer, &protocol.AccountRecoverSendValidationEmailRequest{Email: a.address()})
			if err := a.read(err); err != nil {
				return err
			}
			method := a.next()
			_, err = a.rules.AccountRecoverProceed(ctx, a.peer, &protocol.AccountRecoverProceedRequest{
				Email: a.address(), ValidationCode: a.code, NewAuthMethodID: method,
			})
			<-a.office // The owner is told.
			a.author.Method = method
			return err
		}},
	}
}

func (a *accountTour) owners() []command {
	return []command{
		{"account_info", func(ctx context.Context) error {
			_, err := a.rules.AccountInfo(ctx, a.author, nil)
			return err
		}},
		{"auth_method_create", func(ctx context.Context) error {
			_, err := a.rules.AuthMethodCreate(ctx, a.author, &protocol.AuthMethodCreateRequest{AuthMethodID: a.next(), AuthMethodPasswordAlgorithm: &protocol.WeakestAlgorithm})
			return err
		}},
		{"auth_method_disable", func(ctx context.Context) error {
			_, err := a.rules.AuthMethodDisable(ctx, a.author, &protocol.AuthMethodDisableRequest{AuthMethodID: parsec3.AuthMethodID{15, byte(a.number)}})
			_ = err // Disabled already, the second time.
			return nil
		}},
		{"auth_method_list", func(ctx context.Context) error {
			_, err := a.rules.AuthMethodList(ctx, a.author, nil)
			return err
		}},
		{"vault_item_upload", func(ctx context.Context) error {
			_, err := a.rules.VaultItemUpload(ctx, a.author, &protocol.VaultItemUploadRequest{ItemFingerprint: protocol.Fingerprint(blake2b.Sum256([]byte(time.Now().String())))})
			return err
		}},
		{"vault_item_list", func(ctx context.Context) error {
			_, err := a.rules.VaultItemList(ctx, a.author, nil)
			return err
		}},
		{"vault_key_rotation", func(ctx context.Context) error {
			listed, err := a.rules.VaultItemList(ctx, a.author, nil)
			if err != nil {
				return err
			}
			method := a.next()
			_, err = a.rules.VaultKeyRotation(ctx, a.author, &protocol.VaultKeyRotationRequest{NewAuthMethodID: method, Items: listed.Items})
			a.author.Method = method
			return err
		}},
		{"vault_item_recovery_list", func(ctx context.Context) error {
			_, err := a.rules.VaultItemRecoveryList(ctx, a.author, nil)
			return err
		}},
		{"organization_self_list", func(ctx context.Context) error {
			_, err := a.rules.OrganizationSelfList(ctx, a.author, nil)
			return err
		}},
		{"invite_self_list", func(ctx context.Context) error {
			_, err := a.rules.InviteSelfList(ctx, a.author, nil)
			return err
		}},
		{"account_delete", func(ctx context.Context) error {
			reached := make(chan error, 1)
			go func() {
				_, err := a.rules.AccountDeleteSendValidationEmail(ctx, a.author, nil)
				reached <- err
			}()
			if err := a.read(nil); err != nil {
				return err
			}
			if err := <-reached; err != nil {
				return err
			}
			_, err := a.rules.AccountDeleteProceed(ctx, a.author, &protocol.AccountDeleteProceedRequest{ValidationCode: a.code})
			return err
		}},
	}
}

// TestAccountRoundTrips counts how often the commands of accounts wait for the database.
func TestAccountRoundTrips(t *testing.T) {
	proxy := testkit.StartPostgresProxy(t, testkit.NewPostgres(t, testkit.Unsound))
	store := open(t, proxy.DSN, 1, now)
	// Two transactions by mail: send, proceed. A recovery and a rotation ask for the
	// vaults that there are, a rotation is preceded by the list of items, and asks for it.
	want := map[string]int64{
		"account_create": 4, "account_recover": 5, "account_delete": 4,
		"auth_method_create": 2, "auth_method_disable": 2, "vault_item_upload": 2, "vault_key_rotation": 5,
	}
	commands := accountCommands(t, store)
	for _, prepared := range []bool{false, true} {
		for _, command := range commands {
			before := proxy.Waits.Load()
			if err := command.run(t.Context()); err != nil {
				t.Fatalf("%s: %v", command.name, err)
			}
			wanted := max(want[command.name], 1)
			if trips := proxy.Waits.Load() - before; prepared && trips != wanted {
				t.Errorf("%s takes %d round trips, want %d", command.name, trips, wanted)
			}
		}
	}
}

// TestAccountPlans has no command of accounts read more where there are many.
func TestAccountPlans(t *testing.T) {
	dsn := newUnanalyzed(t)
	proxy := testkit.StartPostgresProxy(t, dsn)
	store := open(t, proxy.DSN, 1, now)
	populate(t, store)
	for _, command := range accountCommands(t, store) {
		if err := command.run(t.Context()); err != nil {
			t.Fatalf("%s: %v", command.name, err)
		}
	}
	if err := store.Prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	const least = 25
	ofAccounts := func(statement string) bool { return strings.Contains(statement, "parsec3.account") }
	connection, check := plansOf(t, dsn, statementsOf(t, proxy, least, ofAccounts), checkAccountPlan)
	check("empty")
	for _, sql := range []string{
		`INSERT INTO parsec3.account (account_id, email, label, vault) SELECT md5('account' || i)::uuid, i || '@example.com', 'Name', 1 FROM generate_series(1, 10000) i`,
		`INSERT INTO parsec3.account_vault (account_id, vault, items, methods, size) SELECT md5('account' || i)::uuid, 1, 1, 1, 1 FROM generate_series(1, 10000) i`,
		`INSERT INTO parsec3.account_method (method_id, account_id, vault, created_on, created_by_ip, created_by_user_agent, mac_key, vault_key_access)
		SELECT md5('method' || i)::uuid, md5('account' || i)::uuid, 1, 1, '', '', '', '' FROM generate_series(1, 10000) i`,
		`INSERT INTO parsec3.account_item (account_id, vault, fingerprint, item) SELECT md5('account' || i)::uuid, 1, 'fingerprint', 'item' FROM generate_series(1, 10000) i`,
		`INSERT INTO parsec3.account_code (email, kind, created_on, tries, wrong_tries) SELECT i || '@example.com', 'creation', i, 0, '{}' FROM generate_series(1, 10000) i`,
		`INSERT INTO parsec3.account_mail (sent_on, mail_id, mailbox, network) SELECT i, md5('mail' || i)::uuid, i || '@example.com', i FROM generate_series(1, 10000) i`,
		`INSERT INTO parsec3.user_ (organization, user_id, profile, human_email, human_label, created_on, frozen)
		SELECT 'Acme', md5('user' || i)::uuid, 'STANDARD', i || '@example.com', 'Name', i, false FROM generate_series(1, 10000) i`,
		`INSERT INTO parsec3.invitation (organization, token, type, created_by, created_on, claimer_email, claimer_user)
		SELECT 'Acme', md5('invitation' || i)::uuid, CASE i % 2 WHEN 0 THEN 'USER' ELSE 'DEVICE' END, md5('user' || i)::uuid, i,
			CASE i % 2 WHEN 0 THEN i || '@example.com' END, CASE i % 2 WHEN 1 THEN md5('user' || i)::uuid END FROM generate_series(1, 10000) i`,
	} {
		testkit.Execute(t, connection, sql)
	}
	check("grown")
	testkit.Execute(t, connection, "ANALYZE")
	check("analyzed")
}

// checkAccountPlan reports what grows with the accounts.
func checkAccountPlan(t *testing.T, when, statement string, p plan) {
	t.Helper()
	switch {
	case p.Type == "Seq Scan" && p.Relation != "":
		t.Errorf("%s, %s is scanned by%s", when, p.Relation, statement)
	case p.Index != "" && p.Condition == "":
		t.Errorf("%s, %s is read whole by%s", when, p.Index, statement)
	}
	for _, below := range p.Plans {
		checkAccountPlan(t, when, statement, below)
	}
}

// TestErasedAccountLeavesNothing looks for what was stored of an account in every table.
func TestErasedAccountLeavesNothing(t *testing.T) {
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	store := open(t, dsn, 1, now)
	for _, command := range accountCommands(t, store) {
		if err := command.run(t.Context()); err != nil {
			t.Fatalf("%s: %v", command.name, err)
		}
	}
	connection := testkit.Connect(t, dsn)
	for _, table := range texts(t, connection, "SELECT tablename::text FROM pg_tables WHERE schemaname = 'parsec3' AND tablename LIKE 'account%'") {
		rows := texts(t, connection, "SELECT a::text FROM parsec3."+table+" a")
		if table != "account_mail" && len(rows) > 0 { // which counts for a day
			t.Errorf("%s has %v", table, rows)
		}
	}
}

// TestPruneAccounts erases e-mails and codes that count no more.
func TestPruneAccounts(t *testing.T) {
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	clock := testkit.NewClock(parsec.DateTimeOf(time.Now()))
	store := open(t, dsn, 1, clock.Now)
	connection := testkit.Connect(t, dsn)
	scope := rules.AccountScope{Email: must(parsec3.ParseEmailAddress("zoe@example.com")), Mail: &rules.MailScope{Mailbox: "zoe@example.com"}}
	err := store.UpdateAccount(t.Context(), scope, func(tx rules.AccountTx) error {
		tx.CountSend(clock.Now())
		tx.PutCode(rules.CodeOfCreation, rules.Code{CreatedOn: clock.Now()})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		after       time.Duration
		mails, code int64
	}{{23 * time.Hour, 1, 1}, {2 * time.Hour, 0, 1}, {2 * time.Hour, 0, 0}} {
		clock.Advance(step.after)
		if err := store.Prune(t.Context()); err != nil {
			t.Fatal(err)
		}
		mails := testkit.Number(t, connection, "SELECT count(*) FROM parsec3.account_mail")
		codes := testkit.Number(t, connection, "SELECT count(*) FROM parsec3.account_code")
		if mails != step.mails || codes != step.code {
			t.Errorf("%d e-mails and %d codes", mails, codes)
		}
	}
}
