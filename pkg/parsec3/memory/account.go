package memory

import (
	"bytes"
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"

	organizationstore "parsec-server/pkg/organization/memory"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

// accounts is the state of the accounts, which have one lock.
type accounts struct {
	mu      sync.RWMutex
	byEmail map[parsec3.EmailAddress]*account
	methods map[parsec3.AuthMethodID]*rules.AuthMethod
	byID    map[rules.AccountID]*account
	codes   map[pendingCode]rules.Code
	// mails are those that count, in order of date.
	mails []mail
}

type account struct {
	id     rules.AccountID
	handle parsec.HumanHandle
	// vaults are in order: the last one is the current one.
	vaults []*vault
}

type vault struct {
	facts rules.Vault
	// methods are in order of creation.
	methods []*rules.AuthMethod
	items   map[protocol.Fingerprint][]byte
}

type pendingCode struct {
	// mailbox is that of the e-mail address.
	mailbox string
	kind    rules.CodeKind
}

type mail struct {
	mailbox, network string
	on               parsec.DateTime
}

func newAccounts() accounts {
	return accounts{
		byEmail: map[parsec3.EmailAddress]*account{}, methods: map[parsec3.AuthMethodID]*rules.AuthMethod{},
		byID: map[rules.AccountID]*account{}, codes: map[pendingCode]rules.Code{},
	}
}

func (a *account) current() *vault { return a.vaults[len(a.vaults)-1] }

func (a *account) facts() *rules.Account {
	return &rules.Account{ID: a.id, HumanHandle: a.handle, Vault: a.current().facts}
}

// copyMethod shares only bytes with the method.
func copyMethod(method *rules.AuthMethod) rules.AuthMethod {
	value := *method
	value.PasswordAlgorithm = organizationstore.CopyOf(value.PasswordAlgorithm)
	value.DisabledOn = organizationstore.CopyOf(value.DisabledOn)
	return value
}

// find locks the accounts for reading, and returns a method with its account, nil if
// there is none. The caller unlocks them.
func (a *accounts) find(ctx context.Context, id parsec3.AuthMethodID) (rules.AccountStanding, *account, error) {
	a.mu.RLock()
	var standing rules.AccountStanding
	if err := ctx.Err(); err != nil {
		return standing, nil, err
	}
	method, found := a.methods[id]
	if !found {
		return standing, nil, nil
	}
	of := a.byID[method.Account]
	standing.Account, standing.Method = of.facts(), new(copyMethod(method))
	for _, vault := range of.vaults {
		standing.Stored += vault.facts.Size
	}
	return standing, of, nil
}

// AccountStanding implements rules.AccountReader.
func (s *Store) AccountStanding(ctx context.Context, method parsec3.AuthMethodID) (rules.AccountStanding, error) {
	standing, _, err := s.accounts.find(ctx, method)
	defer s.accounts.mu.RUnlock()
	return standing, err
}

// PasswordAlgorithm implements rules.AccountReader.
func (s *Store) PasswordAlgorithm(ctx context.Context, email parsec3.EmailAddress) (*protocol.PasswordAlgorithm, error) {
	s.accounts.mu.RLock()
	defer s.accounts.mu.RUnlock()
	of, found := s.accounts.byEmail[email]
	if !found {
		return nil, ctx.Err()
	}
	for _, method := range of.current().methods {
		if method.DisabledOn == nil && method.PasswordAlgorithm != nil {
			return new(*method.PasswordAlgorithm), ctx.Err()
		}
	}
	return nil, ctx.Err()
}

// AuthMethods implements rules.AccountReader.
func (s *Store) AuthMethods(ctx context.Context, id parsec3.AuthMethodID) (rules.AccountStanding, []rules.AuthMethod, error) {
	standing, of, err := s.accounts.find(ctx, id)
	defer s.accounts.mu.RUnlock()
	if of == nil {
		return standing, nil, err
	}
	active := slices.DeleteFunc(of.current().copyMethods(), func(method rules.AuthMethod) bool { return method.DisabledOn != nil })
	return standing, active, nil
}

func (v *vault) copyMethods() []rules.AuthMethod {
	methods := make([]rules.AuthMethod, len(v.methods))
	for i, method := range v.methods {
		methods[i] = copyMethod(method)
	}
	slices.SortStableFunc(methods, func(a, b rules.AuthMethod) int {
		return cmp.Or(cmp.Compare(a.CreatedOn, b.CreatedOn), bytes.Compare(a.ID[:], b.ID[:]))
	})
	return methods
}

func (v *vault) list() []rules.VaultItem {
	items := make([]rules.VaultItem, 0, len(v.items))
	for fingerprint, data := range v.items {
		items = append(items, rules.VaultItem{Fingerprint: fingerprint, Data: data})
	}
	return items
}

// VaultItems implements rules.AccountReader.
func (s *Store) VaultItems(ctx context.Context, id parsec3.AuthMethodID) (rules.AccountStanding, []rules.VaultItem, error) {
	standing, of, err := s.accounts.find(ctx, id)
	defer s.accounts.mu.RUnlock()
	if of == nil {
		return standing, nil, err
	}
	return standing, of.current().list(), nil
}

// Vaults implements rules.AccountReader.
func (s *Store) Vaults(ctx context.Context, id parsec3.AuthMethodID) (rules.AccountStanding, []rules.VaultContent, error) {
	standing, of, err := s.accounts.find(ctx, id)
	defer s.accounts.mu.RUnlock()
	if of == nil {
		return standing, nil, err
	}
	content := make([]rules.VaultContent, len(of.vaults))
	for i, vault := range of.vaults {
		content[i] = rules.VaultContent{Methods: vault.copyMethods(), Items: vault.list()}
	}
	return standing, content, nil
}

// Memberships implements rules.AccountReader. It scans the users.
func (s *Store) Memberships(ctx context.Context, id parsec3.AuthMethodID) (rules.AccountStanding, []rules.Membership, error) {
	standing, of, err := s.accounts.find(ctx, id)
	s.accounts.mu.RUnlock()
	if of == nil {
		return standing, nil, err
	}
	mailbox := parsec3.Mailbox(standing.Account.HumanHandle.Email())
	var memberships []rules.Membership
	for _, cell := range s.Cells() {
		cell.RLock()
		o := stateOf(cell)
		for _, user := range o.ids {
			found, _ := o.copyUser(user)
			if parsec3.Mailbox(found.HumanHandle.Email()) == mailbox {
				memberships = append(memberships, rules.Membership{Organization: *cell.Organization(), User: *found})
			}
		}
		cell.RUnlock()
	}
	slices.SortStableFunc(memberships, func(a, b rules.Membership) int {
		return cmp.Or(cmp.Compare(a.Organization.ID.String(), b.Organization.ID.String()), cmp.Compare(a.User.CreatedOn, b.User.CreatedOn))
	})
	return standing, memberships, nil
}

// OwnInvitations implements rules.AccountReader. It scans the invitations.
func (s *Store) OwnInvitations(ctx context.Context, id parsec3.AuthMethodID) (rules.AccountStanding, []rules.OwnInvitation, error) {
	standing, of, err := s.accounts.find(ctx, id)
	s.accounts.mu.RUnlock()
	if of == nil {
		return standing, nil, err
	}
	mailbox := parsec3.Mailbox(standing.Account.HumanHandle.Email())
	var own []rules.OwnInvitation
	for _, cell := range s.Cells() {
		cell.RLock()
		o := stateOf(cell)
		for _, invitation := range o.invitationsOf(func(i *rules.Invitation) bool { return i.End == nil && o.isFor(i, mailbox) }) {
			own = append(own, rules.OwnInvitation{Organization: *cell.Organization(), Invitation: invitation})
		}
		cell.RUnlock()
	}
	slices.SortStableFunc(own, func(a, b rules.OwnInvitation) int {
		return cmp.Compare(a.Organization.ID.String(), b.Organization.ID.String())
	})
	return standing, own, nil
}

// isFor reports whether an invitation is for who has an e-mail address, in whatever
// letters.
func (o *organization) isFor(invitation *rules.Invitation, mailbox string) bool {
	if invitation.Claimer.Type == parsec.InvitationUser {
		return parsec3.Mailbox(invitation.Claimer.Email) == mailbox
	}
	user, found := o.copyUser(invitation.Claimer.User)
	return found && user.RevokedOn == nil && parsec3.Mailbox(user.HumanHandle.Email()) == mailbox
}

// UpdateAccount implements rules.AccountStore. The rule runs once.
func (s *Store) UpdateAccount(ctx context.Context, scope rules.AccountScope, rule func(rules.AccountTx) error) error {
	s.accounts.mu.Lock()
	defer s.accounts.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	t := &accountTx{accounts: &s.accounts, scope: scope, account: s.accounts.byEmail[scope.Email]}
	t.Locked = &t.scope
	if err := rule(t); err != nil {
		return err
	}
	return t.Apply()
}

// erase removes an account and what is pending for its e-mail.
func (a *accounts) erase(email parsec3.EmailAddress) {
	erased := a.byEmail[email]
	erased.eraseVaults(a, erased.current().facts.Number)
	delete(a.byID, erased.id)
	delete(a.byEmail, email)
	maps.DeleteFunc(a.codes, func(pending pendingCode, _ rules.Code) bool {
		return pending.mailbox == email.Mailbox()
	})
}

// eraseVaults removes the vaults up to a number.
func (a *account) eraseVaults(of *accounts, last uint64) {
	a.vaults = slices.DeleteFunc(a.vaults, func(v *vault) bool {
		if v.facts.Number > last {
			return false
		}
		for _, method := range v.methods {
			delete(of.methods, method.ID)
		}
		return true
	})
}
