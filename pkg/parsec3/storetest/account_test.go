package storetest

import (
	"errors"
	"slices"
	"strings"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

var accountChecks = []check{
	{"creation", accountCreation},
	{"methods", accountMethods},
	{"items", accountItems},
	{"vaults", accountVaults},
	{"codes", accountCodes},
	{"e-mails", accountMails},
	{"refused", accountRefused},
	{"erasure", accountErasure},
	{"memberships", accountMemberships},
	{"invitations", accountInvitations},
	{"lists", accountLists},
}

// person has an account of its own for each check.
type person struct {
	f      *fixture
	email  parsec3.EmailAddress
	method parsec3.AuthMethodID
}

func (f *fixture) person() *person {
	id := parsec.NewUUID()
	return &person{f, must(parsec3.ParseEmailAddress("Zoe." + id.Hex() + "@example.com")), parsec3.AuthMethodID(id)}
}

func (p *person) scope() rules.AccountScope { return rules.AccountScope{Email: p.email} }

// update runs a transaction on the account that must commit.
func (p *person) update(scope rules.AccountScope, rule func(rules.AccountTx)) {
	p.f.Helper()
	scope.Email = p.email
	p.f.no(p.f.store.UpdateAccount(p.f.Context(), scope, func(tx rules.AccountTx) error {
		rule(tx)
		return nil
	}))
}

func (p *person) withMethods(ids ...parsec3.AuthMethodID) rules.AccountScope {
	return rules.AccountScope{Methods: ids}
}

var (
	argon  = protocol.PasswordAlgorithm{Type: protocol.Argon2ID, MemlimitKB: 1 << 31, Opslimit: 1<<32 - 1, Parallelism: 7}
	handle = func(p *person) parsec.HumanHandle {
		return must(parsec.ParseHumanHandle(p.email.String(), "Zoé\n"))
	}
)

// newMethod has the fields of a method that clients choose.
func (p *person) newMethod(id parsec3.AuthMethodID) rules.AuthMethod {
	return rules.AuthMethod{
		ID: id, CreatedOn: p.f.next(), CreatedByIP: "2001:db8::1", CreatedByUserAgent: "Agent/1 é",
		MACKey: protocol.MACKey{1, id[0]}, VaultKeyAccess: []byte("access"),
	}
}

// create creates the account, by password.
func (p *person) create() rules.AuthMethod {
	p.f.Helper()
	method := p.newMethod(p.method)
	method.PasswordAlgorithm = &argon
	p.update(p.withMethods(p.method), func(tx rules.AccountTx) {
		tx.CreateAccount(rules.Account{ID: rules.AccountID(parsec.NewUUID()), HumanHandle: handle(p)}, method)
	})
	return method
}

func (p *person) standing() rules.AccountStanding {
	p.f.Helper()
	standing, err := p.f.store.AccountStanding(p.f.Context(), p.method)
	p.f.no(err)
	return standing
}

func accountCreation(f *fixture) {
	p := f.person()
	equal(f, "standing before", p.standing(), rules.AccountStanding{})
	p.update(p.withMethods(p.method), func(tx rules.AccountTx) {
		equal(f, "account before", tx.Account(), nil)
		equal(f, "method before", tx.AuthMethod(p.method), nil)
	})
	method := p.create()
	clear(method.VaultKeyAccess)
	method.VaultKeyAccess = []byte("access")
	standing := p.standing()
	if standing.Account == nil || standing.Method == nil {
		f.Fatal("no account")
	}
	method.Account, method.Vault = standing.Account.ID, 1
	equal(f, "method", *standing.Method, method)
	want := rules.Account{ID: standing.Account.ID, HumanHandle: handle(p), Vault: rules.Vault{Number: 1, Methods: 1, Size: 6}}
	equal(f, "account", *standing.Account, want)
	equal(f, "stored", standing.Stored, 6)
	p.update(p.withMethods(p.method), func(tx rules.AccountTx) {
		equal(f, "account under lock", *tx.Account(), want)
		equal(f, "method under lock", *tx.AuthMethod(p.method), method)
	})
	found, err := f.store.PasswordAlgorithm(f.Context(), p.email)
	f.no(err)
	equal(f, "algorithm", *found, argon)
	none, err := f.store.PasswordAlgorithm(f.Context(), f.person().email)
	f.no(err)
	equal(f, "algorithm of nobody", none, nil)
}

func accountMethods(f *fixture) {
	p, other := f.person(), f.person()
	first := p.create()
	other.create()
	key := p.newMethod(parsec3.AuthMethodID(parsec.NewUUID()))
	p.update(p.withMethods(key.ID, other.method), func(tx rules.AccountTx) {
		if found := tx.AuthMethod(other.method); found == nil || found.Account == tx.Account().ID {
			f.Errorf("the method of another account is %+v", found)
		}
		tx.AddAuthMethod(key)
	})
	want := func(ids ...parsec3.AuthMethodID) {
		f.Helper()
		standing, methods, err := f.store.AuthMethods(f.Context(), p.method)
		f.no(err)
		var got []parsec3.AuthMethodID
		for _, method := range methods {
			got = append(got, method.ID)
		}
		equalList(f, "active methods", got, ids)
		equal(f, "standing", standing, p.standing())
	}
	want(first.ID, key.ID)
	password := p.newMethod(parsec3.AuthMethodID(parsec.NewUUID()))
	password.PasswordAlgorithm = &argon
	p.update(p.withMethods(password.ID), func(tx rules.AccountTx) { tx.AddAuthMethod(password) })
	want(key.ID, password.ID)
	equal(f, "the former password ended", *p.standing().Method.DisabledOn, password.CreatedOn)
	on := f.next()
	p.update(p.withMethods(key.ID), func(tx rules.AccountTx) { tx.DisableAuthMethod(key.ID, on) })
	want(password.ID)
	equal(f, "vault", p.standing().Account.Vault, rules.Vault{Number: 1, Methods: 3, Size: 18})
	p.update(p.withMethods(key.ID), func(tx rules.AccountTx) { equal(f, "disabled", *tx.AuthMethod(key.ID).DisabledOn, on) })
	p.update(p.withMethods(password.ID), func(tx rules.AccountTx) { tx.DisableAuthMethod(password.ID, on) })
	none, err := f.store.PasswordAlgorithm(f.Context(), p.email)
	f.no(err)
	equal(f, "algorithm", none, nil)
}

func accountItems(f *fixture) {
	p := f.person()
	p.create()
	first, second := protocol.Fingerprint{1}, protocol.Fingerprint{2}
	data := []byte("item")
	p.update(rules.AccountScope{Item: &first}, func(tx rules.AccountTx) {
		equal(f, "item before", tx.HasItem(), false)
		tx.AddItem(rules.VaultItem{Fingerprint: first, Data: data})
	})
	clear(data)
	p.update(rules.AccountScope{Item: &second}, func(tx rules.AccountTx) {
		equal(f, "another item", tx.HasItem(), false)
		tx.AddItem(rules.VaultItem{Fingerprint: second})
	})
	p.update(rules.AccountScope{Item: &first}, func(tx rules.AccountTx) {
		equal(f, "item", tx.HasItem(), true)
		fingerprints, err := tx.Fingerprints(f.Context())
		f.no(err)
		slices.SortFunc(fingerprints, func(a, b protocol.Fingerprint) int { return slices.Compare(a[:], b[:]) })
		equal(f, "fingerprints", fingerprints, []protocol.Fingerprint{first, second})
	})
	_, items, err := f.store.VaultItems(f.Context(), p.method)
	f.no(err)
	equal(f, "items", texted(items), map[protocol.Fingerprint]string{first: "item", second: ""})
	equal(f, "vault", p.standing().Account.Vault, rules.Vault{Number: 1, Items: 2, Methods: 1, Size: 10})
	standing, items, err := f.store.VaultItems(f.Context(), f.person().method)
	f.no(err)
	equal(f, "items of nobody", len(items), 0)
	equal(f, "standing of nobody", standing, rules.AccountStanding{})
}

func texted(items []rules.VaultItem) map[protocol.Fingerprint]string {
	texts := map[protocol.Fingerprint]string{}
	for _, item := range items {
		texts[item.Fingerprint] = string(item.Data)
	}
	return texts
}

func accountVaults(f *fixture) {
	p := f.person()
	p.create()
	item := protocol.Fingerprint{1}
	for n := range 3 {
		method := p.newMethod(parsec3.AuthMethodID(parsec.NewUUID()))
		var items []rules.VaultItem
		for i := range n {
			items = append(items, rules.VaultItem{Fingerprint: protocol.Fingerprint{byte(i)}, Data: []byte("new")})
		}
		p.update(p.withMethods(method.ID), func(tx rules.AccountTx) { tx.AddVault(method, items) })
		before := p.standing()
		equal(f, "the first method is disabled", before.Method.DisabledOn != nil, true)
		p.method = method.ID
		equal(f, "vault", p.standing().Account.Vault, rules.Vault{Number: uint64(n + 2), Items: uint64(n), Methods: 1, Size: 6 + 3*uint64(n)})
	}
	p.update(rules.AccountScope{Item: &item}, func(tx rules.AccountTx) {
		vaults, err := tx.AllVaults(f.Context())
		f.no(err)
		equal(f, "vaults", vaults, []rules.Vault{
			{Number: 1, Methods: 1, Size: 6}, {Number: 2, Methods: 1, Size: 6},
			{Number: 3, Items: 1, Methods: 1, Size: 9}, {Number: 4, Items: 2, Methods: 1, Size: 12},
		})
		equal(f, "item of the current vault", tx.HasItem(), true)
		tx.EraseVaults(2)
	})
	standing, vaults, err := f.store.Vaults(f.Context(), p.method)
	f.no(err)
	equal(f, "stored", standing.Stored, 21)
	if len(vaults) != 2 || len(vaults[0].Items) != 1 || len(vaults[1].Items) != 2 || len(vaults[0].Methods) != 1 || vaults[1].Methods[0].ID != p.method {
		f.Errorf("vaults %+v", vaults)
	}
}

func accountCodes(f *fixture) {
	p := f.person()
	hash := rules.CodeHash{7}
	given := rules.Code{Hash: &hash, CreatedOn: at(1), Tries: 2, WrongTries: []parsec.DateTime{at(1), at(2)}}
	p.update(p.scope(), func(tx rules.AccountTx) {
		equal(f, "code before", tx.Code(rules.CodeOfCreation), rules.Code{})
		tx.PutCode(rules.CodeOfCreation, given)
		tx.PutCode(rules.CodeOfRecovery, rules.Code{CreatedOn: at(3)})
	})
	p.update(p.scope(), func(tx rules.AccountTx) {
		equal(f, "code", tx.Code(rules.CodeOfCreation), given)
		equal(f, "code that is used up", tx.Code(rules.CodeOfRecovery), rules.Code{CreatedOn: at(3)})
		equal(f, "code of another kind", tx.Code(rules.CodeOfDeletion), rules.Code{})
		tx.PutCode(rules.CodeOfCreation, rules.Code{CreatedOn: at(4)})
	})
	p.update(p.scope(), func(tx rules.AccountTx) {
		equal(f, "code that was replaced", tx.Code(rules.CodeOfCreation), rules.Code{CreatedOn: at(4)})
	})
	for _, email := range []string{strings.ToUpper(p.email.String()), " " + p.email.String() + " "} {
		(&person{f, must(parsec3.ParseEmailAddress(email)), p.method}).update(p.scope(), func(tx rules.AccountTx) {
			equal(f, "code of the same mailbox", tx.Code(rules.CodeOfCreation), rules.Code{CreatedOn: at(4)})
		})
	}
	f.person().update(p.scope(), func(tx rules.AccountTx) {
		equal(f, "code of another e-mail", tx.Code(rules.CodeOfCreation), rules.Code{})
	})
}

func accountMails(f *fixture) {
	mailbox, network := parsec.NewUUID().Hex(), parsec.NewUUID().Hex()
	count := func(mailbox, network string, on parsec.DateTime) {
		f.Helper()
		f.person().update(rules.AccountScope{Mail: &rules.MailScope{Mailbox: mailbox, Network: network}}, func(tx rules.AccountTx) { tx.CountSend(on) })
	}
	count(mailbox, network, at(1))
	count(mailbox, "", at(2))
	count("other"+mailbox, network, at(3))
	count("other"+mailbox, "", at(4))
	count(mailbox, "other"+network, at(5))
	for name, test := range map[string]struct {
		mail rules.MailScope
		want []parsec.DateTime
	}{
		"both":       {rules.MailScope{Mailbox: mailbox, Network: network}, []parsec.DateTime{at(1), at(2), at(3), at(5)}},
		"later":      {rules.MailScope{Mailbox: mailbox, Network: network, After: at(2)}, []parsec.DateTime{at(3), at(5)}},
		"no network": {rules.MailScope{Mailbox: mailbox}, []parsec.DateTime{at(1), at(2), at(5)}},
		"network":    {rules.MailScope{Mailbox: parsec.NewUUID().Hex(), Network: network}, []parsec.DateTime{at(1), at(3)}},
		"nothing":    {rules.MailScope{Mailbox: parsec.NewUUID().Hex()}, nil},
	} {
		f.person().update(rules.AccountScope{Mail: &test.mail}, func(tx rules.AccountTx) { equalList(f, name, tx.Sends(), test.want) })
	}
}

// errRefused is that of a rule.
var errAccountRefused = errors.New("refused")

func accountRefused(f *fixture) {
	p := f.person()
	p.create()
	before := p.standing()
	item := protocol.Fingerprint{1}
	err := f.store.UpdateAccount(f.Context(), rules.AccountScope{Email: p.email, Item: &item}, func(tx rules.AccountTx) error {
		tx.AddItem(rules.VaultItem{Fingerprint: item})
		tx.PutCode(rules.CodeOfCreation, rules.Code{CreatedOn: at(1)})
		return errAccountRefused
	})
	equal(f, "error", errors.Is(err, errAccountRefused), true)
	equal(f, "standing", p.standing(), before)
	p.update(p.scope(), func(tx rules.AccountTx) {
		equal(f, "code", tx.Code(rules.CodeOfCreation), rules.Code{})
	})
}

func accountErasure(f *fixture) {
	p, other := f.person(), f.person()
	p.create()
	other.create()
	first := p.method
	next := p.newMethod(parsec3.AuthMethodID(parsec.NewUUID()))
	p.update(p.withMethods(next.ID), func(tx rules.AccountTx) {
		tx.AddVault(next, []rules.VaultItem{{Fingerprint: protocol.Fingerprint{1}}})
		tx.PutCode(rules.CodeOfRecovery, rules.Code{CreatedOn: at(1)})
	})
	p.update(p.scope(), func(tx rules.AccountTx) { tx.EraseAccount() })
	p.update(p.withMethods(first, next.ID), func(tx rules.AccountTx) {
		equal(f, "account", tx.Account(), nil)
		equal(f, "code", tx.Code(rules.CodeOfRecovery), rules.Code{})
		equal(f, "first method", tx.AuthMethod(first), nil)
		equal(f, "next method", tx.AuthMethod(next.ID), nil)
	})
	equal(f, "another account", other.standing().Account != nil, true)
	p.create()
	equal(f, "vault", p.standing().Account.Vault.Number, 1)
	_, vaults, err := f.store.Vaults(f.Context(), p.method)
	f.no(err)
	equal(f, "vaults", len(vaults), 1)
}

func accountMemberships(f *fixture) {
	p := f.person()
	p.create()
	f.bootstrap()
	lower := must(parsec.ParseHumanHandle("zoe"+p.email.String()[3:], "Zoe"))
	user := newUser(bob, parsec.ProfileStandard, f.next())
	user.HumanHandle = lower
	f.createUser(user, bobOne)
	f.revoke(bob)
	user.RevokedOn = new(f.last())
	again := newUser(carol, parsec.ProfileAdmin, f.next())
	again.HumanHandle = handle(p)
	f.createUser(again, carolOne)
	standing, memberships, err := f.store.Memberships(f.Context(), p.method)
	f.no(err)
	equal(f, "standing", standing, p.standing())
	if len(memberships) != 2 {
		f.Fatalf("memberships %+v", memberships)
	}
	equal(f, "organization", memberships[0].Organization.ID, f.organization)
	equal(f, "revoked", memberships[0].User, user)
	equal(f, "active", memberships[1].User, again)
}

func accountInvitations(f *fixture) {
	p := f.person()
	p.create()
	f.bootstrap()
	user := newUser(bob, parsec.ProfileStandard, f.next())
	user.HumanHandle = handle(p)
	f.createUser(user, bobOne)
	invite := func(claimer rules.Claimer) parsec3.AccessToken {
		token, date := parsec3.NewAccessToken(), f.next()
		f.queue(rules.Scope{Common: rules.Shared, Invitations: rules.Exclusive}, func(tx rules.Tx) {
			tx.CreateInvitation(rules.Invitation{Token: token, CreatedBy: rules.Person{User: alice}, CreatedOn: date, Claimer: claimer})
		})
		return token
	}
	first := invite(rules.Claimer{Type: parsec.InvitationUser, Email: "zoe" + p.email.String()[3:]})
	invite(rules.Claimer{Type: parsec.InvitationUser, Email: "other@example.com"})
	device := invite(rules.Claimer{Type: parsec.InvitationDevice, User: bob})
	invite(rules.Claimer{Type: parsec.InvitationDevice, User: alice})
	want := func(tokens ...parsec3.AccessToken) {
		f.Helper()
		standing, own, err := f.store.OwnInvitations(f.Context(), p.method)
		f.no(err)
		equal(f, "standing", standing, p.standing())
		var got []parsec3.AccessToken
		for _, invitation := range own {
			equal(f, "organization", invitation.Organization.ID, f.organization)
			got = append(got, invitation.Invitation.Token)
		}
		equalList(f, "invitations", got, tokens)
	}
	want(first, device)
	f.queue(rules.Scope{Invitation: &first}, func(tx rules.Tx) {
		tx.EndInvitation(first, rules.InvitationEnd{On: f.next(), Status: protocol.InvitationCancelled})
	})
	want(device)
	f.revoke(bob)
	want()
}

// accountLists has two accounts of one mailbox among those of all checks.
func accountLists(f *fixture) {
	first, other := f.person(), f.person()
	second := &person{f, must(parsec3.ParseEmailAddress("zoe" + first.email.String()[3:] + " ")), parsec3.AuthMethodID(parsec.NewUUID())}
	var want []rules.Account
	for _, p := range []*person{first, second, other} {
		p.create()
		want = append(want, *p.standing().Account)
	}
	got, err := f.store.AccountsOf(f.Context(), first.email.Mailbox())
	f.no(err)
	equal(f, "accounts of a mailbox", got, want[:2])
	got, err = f.store.AccountsOf(f.Context(), "nobody@example.com")
	f.no(err)
	equalList(f, "accounts of nobody", got, nil)
	for _, most := range []int{1, 1000} {
		met := map[string]rules.Account{}
		for after := ""; ; {
			page, err := f.store.Accounts(f.Context(), after, most)
			f.no(err)
			for _, account := range page {
				email := account.HumanHandle.Email()
				if email <= after {
					f.Errorf("%s after %s", email, after)
				}
				after = email
				met[email] = account
			}
			if len(page) < most {
				break
			}
		}
		for _, account := range want {
			equal(f, "listed", met[account.HumanHandle.Email()], account)
		}
	}
}
