package steamsim

import (
	"maps"
	"slices"
	"strings"
)

// moment is the point of a steamcmd run at which a scenario happens.
type moment int

const (
	never      moment = iota
	atBoot            // before anything is printed
	atLogin           // instead of the login's OK
	atPhone           // before it: somebody has to confirm
	atUserInfo        // while what belongs to the login is waited for
	atRequest         // when an app is asked for
	atStub            // when only a stub manifest stands for the app
	atDownload        // while its bytes come in
	atCommit          // while its files are put into place
	atQuit            // after the last command, if an install succeeded
	everywhere        // colours the whole run
)

// scenario is one thing that goes wrong. The lines and codes are those
// that hosts reported of the real one.
type scenario struct {
	at       moment
	share    float64 // of the phase that is done before it happens
	platform string  // only this platform; empty: each
	account  bool    // only a login with a name
	line     string  // printed; $APP is the app id
	status   int     // exit status
	flags    int     // StateFlags left in the manifest
	hang     bool    // stop, but do not end
	crash    bool    // end by SIGSEGV
	comma    bool    // percent with a decimal comma
	size     int64   // the game is so many times as large
}

const refused = "ERROR! Failed to install app '$APP' "

// scenarios has every name that a control file may choose.
var scenarios = map[string]scenario{
	"ok":                     {},
	"missing_configuration":  {at: atRequest, line: refused + "(Missing configuration)", status: 8},
	"invalid_platform":       {at: atRequest, platform: "linux", line: refused + "(Invalid platform)", status: 8},
	"stub_refused":           {at: atStub, platform: "linux"},
	"no_subscription":        {at: atRequest, line: refused + "(No subscription)", status: 8},
	"file_permissions":       {at: atRequest, line: refused + "(Missing file permissions)", status: 8},
	"beta_password":          {at: atRequest, line: refused + "(Password check for AppId $APP failed)", status: 8},
	"timeout":                {at: atRequest, line: "ERROR! Timed out waiting for AppInfo update.", status: 1},
	"appinfo_error":          {at: atRequest, line: "ERROR! AppInfo request for AppId $APP returned error 16.", status: 1},
	"lost_session":           {at: atRequest, line: "ERROR! Failed to request AppInfo update, not online or not logged in to Steam.", status: 8},
	"rate_limit":             {at: atLogin, line: "FAILED (Rate Limit Exceeded)", status: 5},
	"rate_limit_old":         {at: atLogin, line: "\nFAILED login with result code Rate Limit Exceeded", status: 5},
	"no_connection":          {at: atLogin, line: "FAILED (No Connection)", status: 5},
	"invalid_password":       {at: atLogin, account: true, line: "FAILED (Invalid Password)", status: 5},
	"two_factor":             {at: atLogin, account: true, line: "FAILED (Two-factor code mismatch)", status: 5},
	"login_failure":          {at: atLogin, line: "\nLogin Failure: Account Disabled", status: 5},
	"steam_guard":            {at: atLogin, account: true, line: guardQuestion, hang: true},
	"confirm_on_phone":       {at: atPhone, account: true},
	"user_info_timeout":      {at: atUserInfo, line: "FAILED (Timed out)", status: 5},
	"disk_full":              {at: atDownload, share: 0.4, line: stateLine("0x202"), status: 8, flags: 0x202},
	"disk_full_212":          {at: atDownload, share: 0.6, line: stateLine("0x212"), status: 8, flags: 0x212},
	"too_large":              {at: everywhere, size: 1_000_000},
	"network":                {at: atDownload, share: 0.25, line: stateLine("0x602"), status: 8, flags: 0x602},
	"state_402":              {at: atDownload, share: 0.25, line: stateLine("0x402"), status: 8, flags: 0x402},
	"state_6":                {at: atCommit, share: 0.5, line: stateLine("0x6"), status: 8, flags: 0x6},
	"state_606":              {at: atDownload, share: 0.1, line: stateLine("0x606"), status: 8, flags: 0x606},
	"state_626":              {at: atCommit, share: 0.5, line: stateLine("0x626"), status: 8, flags: 0x626},
	"state_6a6":              {at: atCommit, share: 0.5, line: stateLine("0x6A6"), status: 8, flags: 0x6A6},
	"state_e":                {at: atCommit, share: 0.5, line: stateLine("0xE"), status: 8, flags: 0xE},
	"state_206":              {at: atCommit, share: 0.5, line: stateLine("0x206"), status: 8, flags: 0x206},
	"state_406":              {at: atCommit, share: 0.5, line: stateLine("0x406"), status: 8, flags: 0x406},
	"state_unknown":          {at: atCommit, share: 0.5, line: stateLine("0x10006"), status: 8, flags: 0x10006},
	"exit0_error":            {at: atDownload, share: 0.7, line: stateLine("0x606"), status: 0, flags: 0x606},
	"hang":                   {at: atDownload, share: 0.3, hang: true},
	"segfault_after_success": {at: atQuit, crash: true},
	"bootstrap_failure":      {at: atBoot, status: 1},
	"offline":                {at: atBoot, line: "[----] !!! Fatal Error: Steamcmd needs to be online to update. Please confirm your network connection and try again.", status: 1},
	"decimal_comma":          {at: everywhere, comma: true},
}

// guardQuestion has no line end: the answer is typed behind it.
const guardQuestion = `

This computer has not been authenticated for your account using Steam Guard.
Please check your email for the message from Steam, and enter the Steam Guard
 code from that message.
You can also enter this code at any time using 'set_steam_guard_code'
 at the console.
Steam Guard code:`

// phoneQuestion is what an account with the mobile authenticator is shown.
const phoneQuestion = `

This account is protected by a Steam Guard mobile authenticator.
Please confirm the login in the Steam Mobile app on your phone.

Waiting for confirmation...`

func stateLine(state string) string {
	return "Error! App '$APP' state is " + state + " after update job."
}

// Scenarios returns the names that a control file may choose, sorted.
func Scenarios() []string { return slices.Sorted(maps.Keys(scenarios)) }

func scenarioNames() string { return strings.Join(Scenarios(), ", ") }
