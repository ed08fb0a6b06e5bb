package testclient3

import (
	client3 "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/parsec3/protocol"
)

// ShamirSetup is a Shamir recovery that a device sets up.
type ShamirSetup struct {
	Threshold uint8
	Shares    map[parsec3.UserID]uint8
	// Ciphered are the shares of each recipient, encrypted for it.
	Ciphered    map[parsec3.UserID][]byte
	RevealToken parsec3.AccessToken
	// Data is what the token reveals.
	Data []byte
}

// Request returns the request by which d sets the recovery up.
func (s *ShamirSetup) Request(d *client3.Device, now parsec.DateTime) (*protocol.ShamirRecoverySetupRequest, error) {
	brief, err := certificate.ShamirBrief{
		Author: d.ID, Timestamp: now, UserID: d.User, Threshold: s.Threshold, PerRecipientShares: s.Shares,
	}.Sign(d.SigningKey)
	if err != nil {
		return nil, err
	}
	request := &protocol.ShamirRecoverySetupRequest{CipheredData: s.Data, RevealToken: s.RevealToken, BriefCertificate: brief}
	for recipient := range s.Shares {
		share, err := certificate.ShamirShare{
			Author: d.ID, Timestamp: now, UserID: d.User, Recipient: recipient, CipheredShare: s.Ciphered[recipient],
		}.Sign(d.SigningKey)
		if err != nil {
			return nil, err
		}
		request.ShareCertificates = append(request.ShareCertificates, share)
	}
	return request, nil
}

// DeleteShamirSetup returns the request by which d deletes a setup of its user.
func DeleteShamirSetup(d *client3.Device, setup *KnownSetup, now parsec.DateTime) (*protocol.ShamirRecoveryDeleteRequest, error) {
	deletion := certificate.ShamirDeletion{
		Author: d.ID, Timestamp: now, SetupToDeleteTimestamp: setup.CreatedOn, SetupToDeleteUserID: d.User,
	}
	for recipient := range setup.Shares {
		deletion.ShareRecipients = append(deletion.ShareRecipients, recipient)
	}
	signed, err := deletion.Sign(d.SigningKey)
	return &protocol.ShamirRecoveryDeleteRequest{DeletionCertificate: signed}, err
}
