package rules_test

import (
	"math"
	"reflect"
	"testing"
	"time"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
)

// findFixture has Acme's users and: Bruce Lee, twice, of whom the first user
// is revoked in the near future; and zoe, who has no human handle.
func findFixture(t *testing.T) *fixture {
	f := newFixture(t)
	add := func(id string, handle parsec.HumanHandle) {
		creation := f.userCreation(f.alice(), deviceID(id+"@laptop"), parsec.ProfileStandard)
		creation.user.HumanHandle = handle
		f.ok(f.UserCreate(t.Context(), f.alice(), creation.request()))
	}
	bruce := must(parsec.ParseHumanHandle("b.lee@example.com", "Bruce Lee"))
	add("bruce2", bruce)
	f.clock.advance(time.Minute)
	f.revoke(userID("bruce2"))
	f.clock.advance(-time.Minute) // The revocation is ahead of the clock.
	add("bruce1", bruce)
	add("Zoe", parsec.HumanHandle{})
	return f
}

func TestHumanFind(t *testing.T) {
	f := findFixture(t)
	everybody := []string{"alice", "bob", "bruce1", "bruce2", "mallory", "Zoe"}
	cases := map[string]struct {
		request protocol.HumanFindRequest
		later   bool
		want    []string
		total   uint64
	}{
		"everybody":            {want: everybody, total: 6},
		"blank":                {request: protocol.HumanFindRequest{Query: " \t "}, want: everybody, total: 6},
		"case":                 {request: protocol.HumanFindRequest{Query: "BRU"}, want: []string{"bruce1", "bruce2"}, total: 2},
		"words":                {request: protocol.HumanFindRequest{Query: "uce  ee"}, want: []string{"bruce1", "bruce2"}, total: 2},
		"order of words":       {request: protocol.HumanFindRequest{Query: "lee bruce"}, want: []string{}},
		"literal":              {request: protocol.HumanFindRequest{Query: "%ruce"}, want: []string{}},
		"e-mail":               {request: protocol.HumanFindRequest{Query: "lee@"}, want: []string{"bruce1", "bruce2"}, total: 2},
		"id without handle":    {request: protocol.HumanFindRequest{Query: "oe"}, want: []string{"Zoe"}, total: 1},
		"id with handle":       {request: protocol.HumanFindRequest{Query: "bruce1"}, want: []string{}},
		"humans":               {request: protocol.HumanFindRequest{OmitNonHuman: true}, want: everybody[:5], total: 5},
		"not yet revoked":      {request: protocol.HumanFindRequest{OmitRevoked: true}, want: everybody, total: 6},
		"revoked":              {request: protocol.HumanFindRequest{OmitRevoked: true}, later: true, want: []string{"alice", "bob", "bruce1", "mallory", "Zoe"}, total: 5},
		"first page":           {request: protocol.HumanFindRequest{PerPage: 4}, want: everybody[:4], total: 6},
		"last page":            {request: protocol.HumanFindRequest{Page: 2, PerPage: 4}, want: everybody[4:], total: 6},
		"page beyond the end":  {request: protocol.HumanFindRequest{Page: 3, PerPage: 4}, want: []string{}, total: 6},
		"page beyond measure":  {request: protocol.HumanFindRequest{Page: math.MaxInt64}, want: []string{}, total: 6},
		"page beyond integers": {request: protocol.HumanFindRequest{Page: math.MaxUint64, PerPage: 2}, want: []string{}, total: 6},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if c.request.Page == 0 {
				c.request.Page = 1
			}
			if c.request.PerPage == 0 {
				c.request.PerPage = 100
			}
			if c.later {
				f.clock.advance(time.Minute)
				defer f.clock.advance(-time.Minute)
			}
			reply, err := f.HumanFind(t.Context(), f.bob(), &c.request)
			if err != nil {
				t.Fatal(err)
			}
			got := []string{}
			for _, result := range reply.Results {
				got = append(got, result.UserID.String())
			}
			if !reflect.DeepEqual(got, c.want) || reply.Total != c.total {
				t.Errorf("got %v of %d, want %v of %d", got, reply.Total, c.want, c.total)
			}
			if reply.Page != c.request.Page || reply.PerPage != c.request.PerPage {
				t.Errorf("page %d of %d", reply.Page, reply.PerPage)
			}
		})
	}
}

func TestHumanFindResult(t *testing.T) {
	f := findFixture(t)
	find := func(query string) []protocol.HumanFindResult {
		t.Helper()
		reply, err := f.HumanFind(t.Context(), f.bob(), &protocol.HumanFindRequest{Query: query, Page: 1, PerPage: 100})
		if err != nil {
			t.Fatal(err)
		}
		return reply.Results
	}
	bruce := must(parsec.ParseHumanHandle("b.lee@example.com", "Bruce Lee"))
	want := []protocol.HumanFindResult{{UserID: userID("bruce1"), HumanHandle: bruce}, {UserID: userID("bruce2"), HumanHandle: bruce}}
	if got := find("bruce"); !reflect.DeepEqual(got, want) {
		t.Errorf("before the date of the revocation: %v, want %v", got, want)
	}
	f.clock.advance(time.Minute)
	want[1].Revoked = true
	if got := find("bruce"); !reflect.DeepEqual(got, want) {
		t.Errorf("at the date of the revocation: %v, want %v", got, want)
	}
	if got, want := find("zoe"), []protocol.HumanFindResult{{UserID: userID("Zoe")}}; !reflect.DeepEqual(got, want) {
		t.Errorf("without human handle: %v, want %v", got, want)
	}
	if got := status(f.HumanFind(t.Context(), f.mallory(), &protocol.HumanFindRequest{Page: 1, PerPage: 100})); got != protocol.StatusNotAllowed {
		t.Errorf("an outsider gets %s", got)
	}
}

func TestUserFind(t *testing.T) {
	f := findFixture(t)
	f.clock.advance(time.Minute)
	cases := map[string]struct {
		request protocol.UserFindRequest
		want    []string
		total   uint64
	}{
		"everybody":   {want: []string{"alice", "bob", "bruce1", "bruce2", "mallory", "Zoe"}, total: 6},
		"case":        {request: protocol.UserFindRequest{Query: "BRUCE"}, want: []string{"bruce1", "bruce2"}, total: 2},
		"revoked":     {request: protocol.UserFindRequest{Query: "bruce", OmitRevoked: true}, want: []string{"bruce1"}, total: 1},
		"label":       {request: protocol.UserFindRequest{Query: "Lee"}, want: []string{}},
		"no id":       {request: protocol.UserFindRequest{Query: "b*"}, want: []string{}},
		"page":        {request: protocol.UserFindRequest{Page: 2, PerPage: 5}, want: []string{"Zoe"}, total: 6},
		"page beyond": {request: protocol.UserFindRequest{Page: 3, PerPage: 5}, want: []string{}, total: 6},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if c.request.Page == 0 {
				c.request.Page, c.request.PerPage = 1, 100
			}
			reply, err := f.UserFind(t.Context(), f.bob(), &c.request)
			want := &protocol.UserFindReply{
				Results: append([]parsec.UserID{}, userIDs(c.want)...),
				Page:    c.request.Page, PerPage: c.request.PerPage, Total: c.total,
			}
			if err != nil || !reflect.DeepEqual(reply, want) {
				t.Errorf("got %v (%v), want %v", reply, err, want)
			}
		})
	}
	if got := status(f.UserFind(t.Context(), f.mallory(), &protocol.UserFindRequest{Page: 1, PerPage: 100})); got != protocol.StatusNotAllowed {
		t.Errorf("an outsider gets %s", got)
	}
}
