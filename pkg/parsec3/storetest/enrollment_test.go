package storetest

import (
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

var enrollmentChecks = []check{
	{"life", lifeOfEnrollments},
	{"submissions", submissions},
	{"content", contentOfEnrollments},
	{"order", orderOfEnrollments},
	{"other organizations", enrollmentsApart},
}

func onEnrollments() rules.Scope {
	return rules.Scope{Common: rules.Shared, Enrollment: rules.Exclusive}
}

func newEnrollmentID() parsec3.EnrollmentID { return parsec3.EnrollmentID(parsec.NewUUID()) }

// ofPKI and ofOpenBao are what is proven in either way.
func ofPKI() rules.Identity {
	return rules.Identity{Signature: []byte{0, 1}, Chain: [][]byte{{2}, {}, {3, 4}}}
}

func ofOpenBao() rules.Identity {
	return rules.Identity{Signature: []byte("vault:v1:a"), Entity: "entity"}
}

// submitted returns an enrollment that waits.
func submitted(id parsec3.EnrollmentID, on parsec.DateTime) rules.Enrollment {
	return rules.Enrollment{ID: id, Status: protocol.EnrollmentSubmitted, SubmittedOn: on, Payload: []byte("payload"), Identity: ofPKI()}
}

// ended returns one that is cancelled or rejected.
func ended(id parsec3.EnrollmentID, status protocol.EnrollmentStatus, submitted, on parsec.DateTime) rules.Enrollment {
	return rules.Enrollment{ID: id, Status: status, SubmittedOn: submitted, EndedOn: on}
}

func (f *fixture) submit(email string) rules.Enrollment {
	f.Helper()
	added := submitted(newEnrollmentID(), f.next())
	f.queue(onEnrollments(), func(tx rules.Tx) { tx.SubmitEnrollment(added, email) })
	return added
}

// wantEnrollment asks a reader, and a transaction; nil is for none.
func (f *fixture) wantEnrollment(id parsec3.EnrollmentID, want *rules.Enrollment) {
	f.Helper()
	standing, got, err := f.store.Enrollment(f.Context(), f.organization, id)
	f.no(err)
	equal(f, "enrollment", got, want)
	equal(f, "the organization is known", standing.Organization != nil, true)
	f.update(rules.Scope{}, func(tx rules.Tx) error {
		got, found, err := tx.Enrollment(f.Context(), id)
		equal(f, "found in a transaction", found, want != nil)
		if found {
			equal(f, "enrollment in a transaction", got, want)
		}
		return err
	})
}

func (f *fixture) wantSubmitted(want ...rules.Enrollment) {
	f.Helper()
	standing, got, err := f.store.PendingEnrollments(f.Context(), f.organization, aliceOne)
	f.no(err)
	equalList(f, "what waits", got, want)
	equal(f, "the author is known", standing.User != nil && standing.User.ID == alice, true)
}

func lifeOfEnrollments(f *fixture) {
	f.bootstrap()
	f.wantSubmitted()
	f.wantEnrollment(newEnrollmentID(), nil)
	one, two, three := f.submit("one@example.com"), f.submit("two@example.com"), f.submit("three@example.com")
	f.wantSubmitted(one, two, three)
	f.wantEnrollment(one.ID, &one)

	end := func(id parsec3.EnrollmentID, status protocol.EnrollmentStatus) parsec.DateTime {
		on := f.next()
		f.queue(onEnrollments(), func(tx rules.Tx) { tx.EndEnrollment(id, status, on) })
		return on
	}
	f.wantEnrollment(one.ID, new(ended(one.ID, protocol.EnrollmentCancelled, one.SubmittedOn, end(one.ID, protocol.EnrollmentCancelled))))
	f.wantEnrollment(two.ID, new(ended(two.ID, protocol.EnrollmentRejected, two.SubmittedOn, end(two.ID, protocol.EnrollmentRejected))))
	f.wantSubmitted(three)

	accepted := rules.Enrollment{
		ID: three.ID, Status: protocol.EnrollmentAccepted, SubmittedOn: three.SubmittedOn, EndedOn: f.next(),
		Payload: []byte("accepted"), Identity: ofOpenBao(),
	}
	f.queue(rules.Scope{Author: aliceOne, Common: rules.Exclusive, Enrollment: rules.Exclusive}, func(tx rules.Tx) { tx.AcceptEnrollment(accepted) })
	f.wantEnrollment(three.ID, &accepted)
	f.wantSubmitted()
}

// submissions tells what stands against one, whatever the case of an e-mail.
func submissions(f *fixture) {
	f.bootstrap()
	f.createUser(rules.User{
		ID: bob, Profile: parsec.ProfileStandard, CreatedOn: f.next(), HumanHandle: must(parsec3.ParseHumanHandle("Bob@Example.com", "Bob")),
	}, bobOne)
	want := func(id parsec3.EnrollmentID, email string, want rules.Submissions) {
		f.Helper()
		f.update(onEnrollments(), func(tx rules.Tx) error {
			got, err := tx.Submissions(f.Context(), id, email)
			equal(f, "what stands against "+email, got, want)
			return err
		})
	}
	want(newEnrollmentID(), "new@example.com", rules.Submissions{})
	want(newEnrollmentID(), "bob@example.com", rules.Submissions{Enrolled: true})
	earlier := f.submit("new@example.com")
	f.submit("other@example.com")
	seen := &rules.Enrollment{ID: earlier.ID, Status: protocol.EnrollmentSubmitted, SubmittedOn: earlier.SubmittedOn}
	want(newEnrollmentID(), "new@example.com", rules.Submissions{Earlier: seen, Others: 1, OthersBytes: 12})
	want(earlier.ID, "third@example.com", rules.Submissions{Known: true, Others: 2, OthersBytes: 24})

	// One takes the place of another in one transaction.
	later := submitted(newEnrollmentID(), f.next())
	f.queue(onEnrollments(), func(tx rules.Tx) {
		tx.EndEnrollment(earlier.ID, protocol.EnrollmentCancelled, later.SubmittedOn)
		tx.SubmitEnrollment(later, "new@example.com")
	})
	want(earlier.ID, "new@example.com", rules.Submissions{
		Known: true, Earlier: &rules.Enrollment{ID: later.ID, Status: protocol.EnrollmentSubmitted, SubmittedOn: later.SubmittedOn}, Others: 1, OthersBytes: 12,
	})
	f.revoke(bob)
	want(newEnrollmentID(), "bob@example.com", rules.Submissions{Others: 2, OthersBytes: 24})
}

// contentOfEnrollments keeps both kinds of identities as received, and copies them.
func contentOfEnrollments(f *fixture) {
	f.bootstrap()
	for email, identity := range map[string]func() rules.Identity{
		"pki@example.com": ofPKI, "openbao@example.com": ofOpenBao,
		"empty@example.com": func() rules.Identity { return rules.Identity{Signature: []byte{}} },
	} {
		given := submitted(newEnrollmentID(), f.next())
		given.Identity = identity()
		f.queue(onEnrollments(), func(tx rules.Tx) { tx.SubmitEnrollment(given, email) })
		clear(given.Payload)
		clear(given.Identity.Signature)
		for _, one := range given.Identity.Chain {
			clear(one)
		}
		want := submitted(given.ID, given.SubmittedOn)
		want.Identity = identity()
		f.wantEnrollment(given.ID, &want)
	}
}

func orderOfEnrollments(f *fixture) {
	f.bootstrap()
	date := f.next()
	var want []rules.Enrollment
	for i, on := range []parsec.DateTime{date + 1, date + 1, date + 2} {
		want = append(want, submitted(parsec3.EnrollmentID{byte(i)}, on))
	}
	for _, i := range []int{2, 1, 0} {
		f.queue(onEnrollments(), func(tx rules.Tx) { tx.SubmitEnrollment(want[i], string(rune('a'+i))+"@example.com") })
	}
	f.wantSubmitted(want...)
}

func enrollmentsApart(f *fixture) {
	f.bootstrap()
	other := f.another()
	other.bootstrap()
	theirs := other.submit("one@example.com")
	f.wantEnrollment(theirs.ID, nil)
	f.wantSubmitted()
	ours := submitted(theirs.ID, f.next())
	f.queue(onEnrollments(), func(tx rules.Tx) { tx.SubmitEnrollment(ours, "one@example.com") })
	f.wantSubmitted(ours)
	f.queue(onEnrollments(), func(tx rules.Tx) { tx.EndEnrollment(ours.ID, protocol.EnrollmentCancelled, f.next()) })
	other.wantSubmitted(theirs)
	standing, found, err := f.store.Enrollment(f.Context(), newOrganizationID(), theirs.ID)
	f.no(err)
	equal(f, "enrollment of nothing", found, nil)
	equal(f, "organization of nothing", standing.Organization, (*organization.Organization)(nil))
}
