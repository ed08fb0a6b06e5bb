package storetest

import (
	"math"
	"strings"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

var findChecks = []check{
	{"by human", findByHuman},
	{"by id", findByID},
	{"pages", findPages},
}

// person creates a user; no label is no handle.
func (f *fixture) person(id, label, email string) {
	f.Helper()
	user := newUser(userID(id), parsec.ProfileStandard, aliceOne)
	user.HumanHandle = parsec.HumanHandle{}
	if label != "" {
		user.HumanHandle = must(parsec.ParseHumanHandle(email, label))
	}
	f.queue(onOrganization(), func(tx rules.Tx) { tx.CreateUser(user) })
}

// wantFound queries everybody on one page, with words separated by spaces.
func (f *fixture) wantFound(words string, query rules.UserQuery, want string) {
	f.Helper()
	query.Words, query.Limit = strings.Fields(words), 100
	users, total, err := f.store.FindUsers(f.Context(), f.organization, query)
	f.no(err)
	equal(f, "found with `"+words+"`", strings.Join(userNames(users), " "), want)
	equal(f, "number found with `"+words+"`", total, uint64(len(users)))
}

func findByHuman(f *fixture) {
	f.bootstrap() // alice, Alice, alice@example.com
	f.person("bruce", "Bruce Lee", "dragon@example.com")
	f.person("percent", "100% _sure", "percent@example.org")
	f.person("Zed", "", "")
	f.person("aaa-bot", "", "")
	f.person("twin-b", "alan", "b@twins.example")
	f.person("twin-a", "Alan", "a@twins.example")
	f.person("gone", "Émile Gone", "gone@example.com")
	f.revoke(userID("gone"), rules.Revocation{Certificate: []byte("r"), Certifier: aliceOne, On: at(50)})
	for _, test := range []struct{ words, want string }{
		{"", "percent twin-a twin-b alice bruce gone aaa-bot Zed"},
		{"bruce", "bruce"},
		{"BRU", "bruce"},
		{"bruce  l", "bruce"},
		{"uce ee", "bruce"},
		{"lee bruce", ""},
		{"bruce dragon", ""},
		{"ee ee", ""}, // words do not overlap
		{"e ee", "bruce"},
		{"(", ""},
		{"%ruce", ""},
		{"_ruce", ""},
		{"%", "percent"},
		{"_", "percent"},
		{`\`, ""},
		{`\_`, ""},
		{"0% sure", "percent"},
		{"DRAGON@", "bruce"},
		{"zed", "Zed"},
		{"bot", "aaa-bot"},
		{"twin-", ""},
		{"twins", "twin-a twin-b"},
		{"émile", "gone"},
		{"ÉMILE", "gone"},
		{".*", ""},
	} {
		f.wantFound(test.words, rules.UserQuery{}, test.want)
	}
	f.wantFound("", rules.UserQuery{OmitNonHuman: true}, "percent twin-a twin-b alice bruce gone")
	f.wantFound("zed", rules.UserQuery{OmitNonHuman: true}, "")
	f.wantFound("gone", rules.UserQuery{OmitRevoked: true, Now: at(49)}, "gone")
	f.wantFound("gone", rules.UserQuery{OmitRevoked: true, Now: at(50)}, "")
	f.wantFound("gone", rules.UserQuery{OmitRevoked: false, Now: at(50)}, "gone")
	f.wantFound("", rules.UserQuery{OmitRevoked: true, OmitNonHuman: true, Now: at(51)}, "percent twin-a twin-b alice bruce")

	users, _, err := f.store.FindUsers(f.Context(), f.organization, rules.UserQuery{Words: []string{"alice"}, Limit: 1})
	f.no(err)
	equalList(f, "facts found", users, []rules.User{newUser(alice, parsec.ProfileAdmin, parsec.DeviceID{})})
}

func findByID(f *fixture) {
	f.bootstrap()
	f.person("Bob", "Alice's brother", "bobby@example.com")
	f.person("bob-2", "", "")
	f.person("carl_x", "Carl", "carl@example.com")
	f.revoke(userID("carl_x"), rules.Revocation{Certificate: []byte("r"), Certifier: aliceOne, On: at(50)})
	for _, test := range []struct{ words, want string }{
		{"", "alice Bob bob-2 carl_x"},
		{"BOB", "Bob bob-2"},
		{"b 2", "bob-2"},
		{"alice", "alice"},
		{"example", ""},
		{"_", "carl_x"},
	} {
		f.wantFound(test.words, rules.UserQuery{ByID: true}, test.want)
	}
	f.wantFound("", rules.UserQuery{ByID: true, OmitRevoked: true, Now: at(60)}, "alice Bob bob-2")
}

func findPages(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob, carol, userID("dave"), userID("erin"))
	for _, test := range []struct {
		offset, limit uint64
		want          string
	}{
		{0, 2, "alice bob"},
		{2, 2, "carol dave"},
		{4, 2, "erin"},
		{5, 2, ""},
		{100, 2, ""},
		{0, 0, ""},
		{1, 100, "bob carol dave erin"},
		{math.MaxInt64 - 1, 100, ""},
	} {
		for _, byID := range []bool{false, true} {
			users, total, err := f.store.FindUsers(f.Context(), f.organization,
				rules.UserQuery{ByID: byID, Offset: test.offset, Limit: test.limit})
			f.no(err)
			equal(f, "page", strings.Join(userNames(users), " "), test.want)
			equal(f, "total", total, 5)
		}
	}
}
