package commands

import (
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/rpc"
)

// Parsec3 returns the form of every command of API 5.
func Parsec3() []*rpc.Form {
	return []*rpc.Form{
		protocol.Ping.Form, protocol.EventsListen.Form, protocol.CertificateGet.Form,
		protocol.UserCreate.Form, protocol.UserUpdate.Form, protocol.UserRevoke.Form, protocol.ListFrozenUsers.Form,
		protocol.DeviceCreate.Form,
		protocol.TOSGet.Form, protocol.TOSAccept.Form,
		protocol.InviteNewUser.Form, protocol.InviteNewDevice.Form, protocol.InviteList.Form, protocol.InviteCancel.Form,
		protocol.InviteComplete.Form, protocol.InviteInfo.Form,
		protocol.InviteGreeterStartGreetingAttempt.Form, protocol.InviteClaimerStartGreetingAttempt.Form,
		protocol.InviteGreeterCancelGreetingAttempt.Form, protocol.InviteClaimerCancelGreetingAttempt.Form,
		protocol.InviteGreeterStep.Form, protocol.InviteClaimerStep.Form,
		protocol.OrganizationBootstrap.Form, protocol.OrganizationInfo.Form, protocol.ServerConfig.Form,
		protocol.RealmCreate.Form, protocol.RealmShare.Form, protocol.RealmUnshare.Form,
		protocol.RealmSelfPromoteToOwner.Form, protocol.RealmRename.Form, protocol.RealmRotateKey.Form,
		protocol.RealmUpdateArchiving.Form, protocol.RealmGetKeysBundle.Form,
		protocol.CryptpadRegisterSession.Form, protocol.SCWSServiceMutualChallenges.Form,
		protocol.InviteNewShamirRecovery.Form, protocol.InviteShamirRecoveryReveal.Form,
		protocol.ShamirRecoverySetup.Form, protocol.ShamirRecoveryDelete.Form,
		protocol.VlobCreate.Form, protocol.VlobUpdate.Form, protocol.VlobReadBatch.Form, protocol.VlobReadVersions.Form,
		protocol.VlobPollChanges.Form,
		protocol.BlockCreate.Form, protocol.BlockRead.Form,
		protocol.AsyncEnrollmentSubmit.Form, protocol.AsyncEnrollmentInfo.Form, protocol.AsyncEnrollmentCancel.Form,
		protocol.AsyncEnrollmentList.Form, protocol.AsyncEnrollmentReject.Form, protocol.AsyncEnrollmentAccept.Form,
		protocol.TOTPSetupGetSecret.Form, protocol.TOTPSetupGetSecretAnonymous.Form,
		protocol.TOTPSetupConfirm.Form, protocol.TOTPSetupConfirmAnonymous.Form,
		protocol.TOTPCreateOpaqueKey.Form, protocol.TOTPFetchOpaqueKey.Form,
		protocol.AccountCreateSendValidationEmail.Form, protocol.AccountCreateProceed.Form,
		protocol.AccountRecoverSendValidationEmail.Form, protocol.AccountRecoverProceed.Form,
		protocol.AuthMethodPasswordGetAlgorithm.Form,
		protocol.AccountInfo.Form, protocol.AccountDeleteSendValidationEmail.Form, protocol.AccountDeleteProceed.Form,
		protocol.AuthMethodList.Form, protocol.AuthMethodCreate.Form, protocol.AuthMethodDisable.Form,
		protocol.OrganizationSelfList.Form, protocol.InviteSelfList.Form,
		protocol.VaultItemList.Form, protocol.VaultItemUpload.Form, protocol.VaultKeyRotation.Form,
		protocol.VaultItemRecoveryList.Form,
	}
}
