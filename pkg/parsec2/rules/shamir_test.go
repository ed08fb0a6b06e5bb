package rules_test

import (
	"bytes"
	"crypto/ed25519"
	"math"
	"reflect"
	"slices"
	"testing"
	"time"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/certificate"
	"parsec-server/pkg/parsec2/protocol"
)

// shamirCreation is the content of a setup of bob, shared between alice and
// mallory; tests spoil it before request signs it with key.
type shamirCreation struct {
	brief  certificate.ShamirBrief
	shares []certificate.ShamirShare
	token  parsec.UUID
	key    ed25519.PrivateKey
}

func (f *fixture) shamirCreation() *shamirCreation {
	c := &shamirCreation{token: parsec.NewUUID(), key: signingKey(bobID)}
	c.brief = certificate.ShamirBrief{
		Author: bobID, Timestamp: f.clock.now(), Threshold: 3, PerRecipientShares: map[parsec.UserID]uint64{},
	}
	c.share(aliceID.User(), 1)
	c.share(malloryID.User(), 2)
	return c
}

// by makes it the setup of another device, without what that one would give
// itself.
func (c *shamirCreation) by(author parsec.DeviceID) {
	c.key, c.brief.Author = signingKey(author), author
	delete(c.brief.PerRecipientShares, author.User())
	c.shares = slices.DeleteFunc(c.shares, func(share certificate.ShamirShare) bool { return share.Recipient == author.User() })
	for i := range c.shares {
		c.shares[i].Author = author
	}
	c.brief.Threshold = 1
}

// share adds a recipient.
func (c *shamirCreation) share(recipient parsec.UserID, count uint64) {
	c.brief.PerRecipientShares[recipient] = count
	c.shares = append(c.shares, certificate.ShamirShare{
		Author: c.brief.Author, Timestamp: c.brief.Timestamp, Recipient: recipient, CipheredShare: []byte("share"),
	})
}

func (c *shamirCreation) request() *protocol.ShamirRecoverySetupRequest {
	setup := &protocol.ShamirRecoverySetupData{
		CipheredData: []byte("data"), RevealToken: c.token, Brief: must(c.brief.Sign(c.key)), Shares: [][]byte{},
	}
	for _, share := range c.shares {
		setup.Shares = append(setup.Shares, must(share.Sign(c.key)))
	}
	return &protocol.ShamirRecoverySetupRequest{Setup: setup}
}

func TestShamirRecoverySetup(t *testing.T) {
	early, late := 300*time.Second, -320*time.Second
	cases := map[string]struct {
		spoil func(*shamirCreation)
		want  protocol.Status
		dated bool
	}{
		"ok":                    {want: protocol.StatusOK},
		"threshold beyond ints": {spoil: func(c *shamirCreation) { c.brief.Threshold = math.MaxInt64 }, want: protocol.StatusInvalidData},
		"counts beyond ints": {spoil: func(c *shamirCreation) {
			c.brief.Threshold = math.MaxInt64
			c.brief.PerRecipientShares[aliceID.User()] = math.MaxInt64
		}, want: protocol.StatusOK},
		"another key":              {spoil: func(c *shamirCreation) { c.key = signingKey(aliceID) }, want: protocol.StatusInvalidData},
		"another author":           {spoil: func(c *shamirCreation) { c.brief.Author = aliceID }, want: protocol.StatusInvalidData},
		"another author, too old":  {spoil: func(c *shamirCreation) { c.brief.Author = aliceID; c.brief.Timestamp = 1 }, want: protocol.StatusInvalidData},
		"another author of share":  {spoil: func(c *shamirCreation) { c.shares[1].Author = aliceID }, want: protocol.StatusInvalidData},
		"share of nobody named":    {spoil: func(c *shamirCreation) { delete(c.brief.PerRecipientShares, malloryID.User()) }, want: protocol.StatusInvalidData},
		"recipient twice":          {spoil: func(c *shamirCreation) { c.shares = append(c.shares, c.shares[0]) }, want: protocol.StatusInvalidData},
		"author is recipient":      {spoil: func(c *shamirCreation) { c.share(bobID.User(), 1) }, want: protocol.StatusInvalidData},
		"recipient without share":  {spoil: func(c *shamirCreation) { c.shares = c.shares[:1] }, want: protocol.StatusInvalidData},
		"no recipient":             {spoil: func(c *shamirCreation) { c.shares = nil; clear(c.brief.PerRecipientShares) }, want: protocol.StatusInvalidData},
		"threshold above shares":   {spoil: func(c *shamirCreation) { c.brief.Threshold = 4 }, want: protocol.StatusInvalidData},
		"unknown recipient":        {spoil: func(c *shamirCreation) { c.share(carolID.User(), 1) }, want: protocol.StatusInvalidData},
		"too early":                {spoil: func(c *shamirCreation) { c.brief.Timestamp = c.brief.Timestamp.Add(early) }, want: protocol.StatusInvalidCertification, dated: true},
		"too old":                  {spoil: func(c *shamirCreation) { c.brief.Timestamp = c.brief.Timestamp.Add(late) }, want: protocol.StatusInvalidCertification, dated: true},
		"share too old":            {spoil: func(c *shamirCreation) { c.shares[1].Timestamp = c.brief.Timestamp.Add(late) }, want: protocol.StatusInvalidCertification, dated: true},
		"threshold before too old": {spoil: func(c *shamirCreation) { c.brief.Threshold = 4; c.brief.Timestamp = 1 }, want: protocol.StatusInvalidData},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			creation := f.shamirCreation()
			if c.spoil != nil {
				c.spoil(creation)
			}
			request := creation.request()
			_, err := f.ShamirRecoverySetup(t.Context(), f.bob(), request)
			checkOutcome(t, err, c.want, c.dated)
			f.wantShamir(request.Setup, c.want == protocol.StatusOK)
		})
	}
}

// wantShamir checks what bob and alice see of bob's setup, the only one.
func (f *fixture) wantShamir(setup *protocol.ShamirRecoverySetupData, current bool) {
	f.t.Helper()
	self, err := f.ShamirRecoverySelfInfo(f.t.Context(), f.bob(), &protocol.ShamirRecoverySelfInfoRequest{})
	f.ok(self, err)
	others, err := f.ShamirRecoveryOthersList(f.t.Context(), f.alice2(), &protocol.ShamirRecoveryOthersListRequest{})
	f.ok(others, err)
	want := &protocol.ShamirRecoveryOthersListReply{BriefCertificates: [][]byte{}, ShareCertificates: [][]byte{}}
	var brief []byte
	if current {
		brief = setup.Brief
		want.BriefCertificates, want.ShareCertificates = [][]byte{brief}, [][]byte{setup.Shares[0]}
	}
	if !bytes.Equal(self.SelfInfo, brief) || (self.SelfInfo == nil) != (brief == nil) {
		f.t.Errorf("self info %q, want %q", self.SelfInfo, brief)
	}
	if !reflect.DeepEqual(others, want) {
		f.t.Errorf("others %q, want %q", others, want)
	}
}

func TestShamirRecoverySetupRefusesRevokedRecipient(t *testing.T) {
	f := newFixture(t)
	f.revoke(malloryID.User())
	request := f.shamirCreation().request()
	_, err := f.ShamirRecoverySetup(t.Context(), f.bob(), request)
	checkOutcome(t, err, protocol.StatusInvalidData, false)
	f.wantShamir(request.Setup, false)
}

func TestShamirRecoverySetupReplacesAndRemoves(t *testing.T) {
	f := newFixture(t)
	first, again, second := f.shamirCreation(), f.shamirCreation(), f.shamirCreation()
	again.token = first.token
	again.brief.Threshold = 1 // not the same request
	second.brief.Threshold = 1
	f.ok(f.ShamirRecoverySetup(t.Context(), f.bob(), first.request()))
	_, err := f.ShamirRecoverySetup(t.Context(), f.bob(), again.request())
	checkOutcome(t, err, protocol.StatusInvalidData, false)
	f.wantShamir(first.request().Setup, true)
	f.ok(f.ShamirRecoverySetup(t.Context(), f.bob(), second.request()))
	f.wantShamir(second.request().Setup, true)
	for range 2 {
		f.ok(f.ShamirRecoverySetup(t.Context(), f.bob(), &protocol.ShamirRecoverySetupRequest{}))
		f.wantShamir(nil, false)
	}
}
