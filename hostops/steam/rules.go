package steam

import (
	"regexp"

	"left4me/hostops/ctl"
)

// Class names a failure for the code that decides what to try next.
type Class string

// The classes that something is decided by; the others are only sentences.
const (
	ClassMissingConfiguration Class = "missing_configuration"
	ClassInvalidPlatform      Class = "invalid_platform"
	ClassDiskFull             Class = "disk_full"
	ClassNetwork              Class = "network"
	ClassLogin                Class = "login"
	ClassRateLimit            Class = "rate_limit"
	ClassPermissions          Class = "permissions"
	ClassBroken               Class = "broken" // files missing or damaged: validate mends it
	ClassOther                Class = "other"
)

// rule is one row of the table of failures.
type rule struct {
	class    Class
	pattern  *regexp.Regexp
	sentence string
	retry    bool
	waits    bool // steamcmd waits for an answer that nobody will give
	err      error
}

func line(class Class, pattern string, err error, retry bool, sentence string) rule {
	return rule{class: class, pattern: regexp.MustCompile(pattern), err: err, retry: retry, sentence: sentence}
}

// prompt is a question of steamcmd's: it ends the run, since it has no newline,
// no answer and no end.
func prompt(pattern, sentence string) rule {
	return rule{class: ClassLogin, pattern: regexp.MustCompile(pattern), err: ctl.ErrSteam, waits: true, sentence: sentence}
}

// The beginnings of the two lines that end an app_update badly, and of a refused
// login in its old and new forms.
const (
	failedApp = `ERROR! Failed to install app '222860' \(`
	badState  = `Error! App '222860' state is 0x`
	noLogin   = `(FAILED|Login Failure|FAILED login with result code|\.\.\.ERROR \().*`
)

// rules is every failure that steamcmd is known to print, the more particular
// ones first. State codes are read as operators do in practice.
var rules = []rule{
	line(ClassInvalidPlatform, failedApp+`Invalid platform\)`, ctl.ErrSteam, false,
		"Steam offers no Linux files of the game to an anonymous login this way."),
	line(ClassMissingConfiguration, failedApp+`Missing configuration\)`, ctl.ErrSteamRetry, true,
		"Steam did not have the game's description at hand yet. This passes: try again."),
	line(ClassLogin, failedApp+`No subscription\)`, ctl.ErrSteam, false,
		"Steam says that this login may not download the game (no subscription)."),
	line(ClassPermissions, failedApp+`Missing file permissions\)`, ctl.ErrSteam, false,
		"steamcmd may not write into the installation folder: check who owns it and everything in it."),
	line(ClassLogin, failedApp+`(Password check for AppId[^)]*|Invalid password)\)`, ctl.ErrSteam, false,
		"Steam asked for the password of a private beta branch."),
	line(ClassDiskFull, failedApp+`Not enough disk space\)`, ctl.ErrDiskFull, false,
		"The disk is too small for the game."),
	line(ClassPermissions, failedApp+`Disk (write|read) failure\)`, ctl.ErrSteam, false,
		"steamcmd could not use the disk: check the folder's owner, the file system and the kernel's log."),
	line(ClassNetwork, failedApp+`(No connection|Connection timeout|Timeout)\)`, ctl.ErrSteamRetry, true,
		"Steam's servers did not answer while the game was asked for. Try again."),
	line(ClassBroken, failedApp+`(Corrupt [^)]*|Missing (update files|manifest file))\)`, ctl.ErrSteamRetry, true,
		"Files of the download were missing or damaged. The next try checks and replaces them."),
	line(ClassDiskFull, badState+`(202|212)\b`, ctl.ErrDiskFull, false,
		"The disk is too small for the game."),
	line(ClassNetwork, badState+`(402|602)\b`, ctl.ErrSteamRetry, true,
		"The download broke off: Steam's servers or this machine's network did not answer. Try again."),
	line(ClassNetwork, badState+`6\b`, ctl.ErrSteamRetry, true,
		"Steam could not bring the game up to date: usually this machine's name service or network failed. Try again."),
	line(ClassPermissions, badState+`606\b`, ctl.ErrSteam, false,
		"steamcmd could not write to the disk: check the folder's owner and the file system."),
	line(ClassBroken, badState+`626\b`, ctl.ErrSteamRetry, true,
		"Files of the update were missing. The next try checks and replaces them."),
	line(ClassBroken, badState+`6[Aa]6\b`, ctl.ErrSteamRetry, true,
		"Files of the update were damaged. The next try checks and replaces them."),
	line(ClassNetwork, badState+`([Ee]|206|406)\b`, ctl.ErrSteamRetry, true,
		"The update was not finished. Try again."),
	line(ClassOther, badState+`[0-9A-Fa-f]+`, ctl.ErrSteam, false,
		"Steam ended the update in a state that left4me does not know."),
	line(ClassOther, `ERROR! Failed to install app '222860'`, ctl.ErrSteam, false,
		"Steam could not install the game, for a reason that left4me does not know."),
	line(ClassNetwork, `ERROR! Timed out waiting for AppInfo update`, ctl.ErrSteamRetry, true,
		"Steam did not send the game's description in time. Try again."),
	line(ClassNetwork, `ERROR! AppInfo request for AppId \d+ returned error`, ctl.ErrSteamRetry, true,
		"Steam did not answer the request for the game's description. Try again."),
	line(ClassNetwork, `ERROR! Failed to request AppInfo update, not online`, ctl.ErrSteamRetry, true,
		"The connection to Steam was lost. Try again."),
	line(ClassRateLimit, noLogin+`Rate Limit Exceeded`, ctl.ErrSteam, false,
		"Steam refuses logins from this address for a while (rate limit). Wait at least 30 minutes: each try makes it longer."),
	line(ClassLogin, `Two-factor code mismatch`, ctl.ErrSteam, false,
		"Steam did not accept the two-factor code."),
	line(ClassLogin, `(Invalid Login Auth Code|Expired Login Auth Code)`, ctl.ErrSteam, false,
		"Steam did not accept the Steam Guard code."),
	prompt(`(?i)^\s*(Steam Guard|Two-factor) code:`,
		"Steam asks for a Steam Guard code, and nobody can type one here. Confirm sign-ins in the Steam app, or use an account without Steam Guard for the server."),
	line(ClassLogin, `(Account Logon Denied|Account Login Denied|Need Two Factor)`, ctl.ErrSteam, false,
		"Steam wants this sign-in confirmed with Steam Guard. Confirm it in the Steam app and install again, or use an account without Steam Guard for the server."),
	line(ClassLogin, `Invalid Password`, ctl.ErrSteam, false,
		"Steam did not accept the name or the password of the account. Give them again with l4d2ctl steam login."),
	prompt(`(?i)^\s*password:`,
		"Steam asks for the account's password, which is not known here. Give it with l4d2ctl steam login."),
	line(ClassLogin, `Cached credentials not found`, ctl.ErrSteam, false,
		"Steam does not know this machine's sign-in any more. Give it again with l4d2ctl steam login."),
	line(ClassNetwork, `Waiting for (user info|client config)\.\.\.(FAILED|ERROR)`, ctl.ErrSteamRetry, true,
		"Steam accepted the login but did not send what belongs to it in time. Try again."),
	line(ClassNetwork, `(FAILED|Login Failure:?|\.\.\.ERROR) ?\(?(No Connection|Timed out|Timeout|Service Unavailable|Try another CM)`, ctl.ErrSteamRetry, true,
		"Steam did not answer the login in time. Try again."),
	line(ClassLogin, `(Login Failure|FAILED login with result code|^Logging in user .*(FAILED|ERROR)|^Connecting anonymously.*(FAILED|ERROR))`, ctl.ErrSteam, false,
		"Steam refused the login."),
	line(ClassNetwork, `Fatal Error: Steamcmd needs to be online to update`, ctl.ErrSteamRetry, true,
		"steamcmd cannot reach Steam to update itself. Check this machine's network."),
	line(ClassNetwork, `Download failed: http error \d+`, ctl.ErrSteamRetry, true,
		"steamcmd could not download its own update: Steam's servers cannot be reached. Check this machine's network."),
}

// match finds the rule that a line of output obeys.
func match(text string) (rule, bool) {
	for _, r := range rules {
		if r.pattern.MatchString(text) {
			return r, true
		}
	}
	return rule{}, false
}

// Failure is an installation that did not come about.
type Failure struct {
	Sentence string
	Class    error           // one of ctl's errors
	Again    bool            // the same again, a little later, may well succeed
	Child    *ctl.ChildError // set when steamcmd ended with a code of its own
	Kind     Class           // empty when it was not steamcmd's
}

func (f *Failure) Error() string { return f.Sentence }

// Retry reports whether the same again may well succeed.
func (f *Failure) Retry() bool { return f.Again }

// Unwrap makes it both: the class, and the child's failure that passes its exit
// code through.
func (f *Failure) Unwrap() []error {
	if f.Child != nil {
		return []error{f.Child, f.Class}
	}
	return []error{f.Class}
}
