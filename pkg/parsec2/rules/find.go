package rules

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strings"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
)

// UserQuery selects users. Now decides who is revoked.
type UserQuery struct {
	// ByID matches Words against the user id only and sorts by it (API 1);
	// otherwise against the label, the e-mail, or the id of users without
	// human handle, sorted by label, then by id, users without handle last.
	ByID bool
	// Words must occur in this order, ignoring case, with anything between
	// them; none matches everybody.
	Words        []string
	OmitRevoked  bool
	OmitNonHuman bool
	Now          parsec.DateTime
	// Offset and Limit cut the page.
	Offset, Limit uint64
}

// Select returns the page of the users that match, sorted as said, with the
// number of matches before the cut. It looks at ID, HumanHandle and
// Revocation.On alone.
//
// Every store selects by it, since databases do not fold the case of letters
// beyond ASCII alike. It costs one pass over the users, and a sort of those
// that match.
func (q *UserQuery) Select(users []User) ([]User, uint64) {
	words := make([]string, len(q.Words))
	for i, word := range q.Words {
		words[i] = strings.ToLower(word)
	}
	var matches []foundUser
	for i := range users {
		if found := fold(&users[i]); !q.omits(found) && found.matches(q.ByID, words) {
			matches = append(matches, found)
		}
	}
	if q.ByID {
		slices.SortFunc(matches, compareByID)
	} else {
		slices.SortFunc(matches, compareByLabel)
	}
	total := uint64(len(matches))
	start := min(q.Offset, total)
	matches = matches[start : start+min(q.Limit, total-start)]
	page := make([]User, len(matches))
	for i, match := range matches {
		page[i] = *match.user
	}
	return page, total
}

func (q *UserQuery) omits(found foundUser) bool {
	revocation := found.user.Revocation
	return q.OmitNonHuman && !found.human() ||
		q.OmitRevoked && revocation != nil && revocation.On <= q.Now
}

// foundUser is a user and its lower-case texts.
type foundUser struct {
	user             *User
	id, email, label string
}

func fold(user *User) foundUser {
	return foundUser{
		user:  user,
		id:    strings.ToLower(user.ID.String()),
		email: strings.ToLower(user.HumanHandle.Email()),
		label: strings.ToLower(user.HumanHandle.Label()),
	}
}

func (f foundUser) human() bool { return f.user.HumanHandle != (parsec.HumanHandle{}) }

// matches wants the words in lower case.
func (f foundUser) matches(byID bool, words []string) bool {
	if byID || !f.human() {
		return containsInOrder(f.id, words)
	}
	return containsInOrder(f.label, words) || containsInOrder(f.email, words)
}

// containsInOrder reports whether the words follow one another in text.
func containsInOrder(text string, words []string) bool {
	for _, word := range words {
		var found bool
		if _, text, found = strings.Cut(text, word); !found {
			return false
		}
	}
	return true
}

// compareByID ignores case unless it is all that differs.
func compareByID(a, b foundUser) int {
	return cmp.Or(cmp.Compare(a.id, b.id), cmp.Compare(a.user.ID.String(), b.user.ID.String()))
}

// compareByLabel puts users without handle last.
func compareByLabel(a, b foundUser) int {
	if a.human() != b.human() {
		if a.human() {
			return -1
		}
		return 1
	}
	return cmp.Or(cmp.Compare(a.label, b.label), compareByID(a, b))
}

// FindReader searches users.
type FindReader interface {
	// FindUsers lists the users that query.Select selects among all users of
	// the organization, with the number of matches.
	FindUsers(ctx context.Context, organization parsec.OrganizationID, query UserQuery) ([]User, uint64, error)
}

// UserFind searches users by their ids (API 1; docs/protocol/commands.md §4).
func (r *Rules) UserFind(ctx context.Context, author *Author, request *protocol.UserFindRequest) (*protocol.UserFindReply, error) {
	if err := refuseOutsider(author); err != nil {
		return nil, err
	}
	reply := &protocol.UserFindReply{Results: []parsec.UserID{}, Page: request.Page, PerPage: request.PerPage}
	query := UserQuery{
		ByID:        true,
		OmitRevoked: request.OmitRevoked,
		Now:         r.now(),
		Offset:      pageOffset(request.Page, request.PerPage),
		Limit:       request.PerPage,
	}
	if request.Query != "" {
		part, err := parsec.ParseUserID(request.Query)
		if err != nil {
			return reply, nil //nolint:nilerr // no user has it in its id
		}
		query.Words = []string{part.String()}
	}
	users, total, err := r.store.FindUsers(ctx, author.Organization, query)
	if err != nil {
		return nil, err
	}
	for i := range users {
		reply.Results = append(reply.Results, users[i].ID)
	}
	reply.Total = total
	return reply, nil
}

// HumanFind searches users by the people behind them
// (docs/protocol/commands.md §4).
func (r *Rules) HumanFind(ctx context.Context, author *Author, request *protocol.HumanFindRequest) (*protocol.HumanFindReply, error) {
	if err := refuseOutsider(author); err != nil {
		return nil, err
	}
	now := r.now()
	users, total, err := r.store.FindUsers(ctx, author.Organization, UserQuery{
		Words:        strings.Fields(request.Query),
		OmitRevoked:  request.OmitRevoked,
		OmitNonHuman: request.OmitNonHuman,
		Now:          now,
		Offset:       pageOffset(request.Page, request.PerPage),
		Limit:        request.PerPage,
	})
	if err != nil {
		return nil, err
	}
	reply := &protocol.HumanFindReply{
		Results: make([]protocol.HumanFindResult, 0, len(users)),
		Page:    request.Page, PerPage: request.PerPage, Total: total,
	}
	for i := range users {
		reply.Results = append(reply.Results, protocol.HumanFindResult{
			UserID:      users[i].ID,
			HumanHandle: users[i].HumanHandle,
			Revoked:     users[i].Revocation != nil && users[i].Revocation.On <= now,
		})
	}
	return reply, nil
}

func refuseOutsider(author *Author) error {
	if author.Profile == parsec.ProfileOutsider {
		return protocol.Refuse(protocol.StatusNotAllowed, "Outsiders may not search users.")
	}
	return nil
}

// pageOffset returns how many results come before a page. It stays within an
// int64, whatever the page.
func pageOffset(page, perPage uint64) uint64 {
	if page-1 > math.MaxInt64/perPage {
		return math.MaxInt64
	}
	return (page - 1) * perPage
}
