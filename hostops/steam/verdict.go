package steam

import (
	"fmt"
	"path/filepath"

	"left4me/hostops/ctl"
)

// judge says how a finished run went.
func (o Options) judge(p *Parser, end ending, logs logMarks) error {
	if p.Succeeded() {
		return o.judgeFiles(end)
	}
	found := logs.tail(o, p.failed)
	f := failureOf(found, end, filepath.Base(o.Steamcmd))
	if f.Kind == ClassDiskFull {
		f.say(o.diskSentence(p.Needed()))
	}
	return f
}

// failureOf makes a failure of the line that explains it, or of how steamcmd
// ended when no line does.
func failureOf(found *rule, end ending, program string) *Failure {
	f := &Failure{Class: ctl.ErrSteam, Kind: ClassOther}
	switch {
	case found != nil:
		f.Sentence, f.Class, f.Again, f.Kind = found.sentence, found.err, found.retry, found.class
	case end.signal != "":
		f.Sentence = fmt.Sprintf("steamcmd was ended by a signal (%s) before it was done.", end.signal)
	case end.code != 0:
		f.Sentence = fmt.Sprintf("steamcmd ended with exit code %d and did not say why; the end of its logs is above.", end.code)
	default:
		f.Sentence = "steamcmd ended without installing the game and did not say why."
	}
	if end.code != 0 {
		f.Child = &ctl.ChildError{Program: program, Code: end.code, Reason: f.Sentence}
	}
	return f
}

// judgeFiles believes a success line only when the files are there. An odd exit
// code behind both is steamcmd's own trouble: it was seen to crash on its way out.
func (o Options) judgeFiles(end ending) error {
	if err := complete(o.Dir); err != nil {
		f := failureOf(nil, end, filepath.Base(o.Steamcmd))
		f.say(fmt.Sprintf("steamcmd reported success, but %v", err))
		return f
	}
	if end.code != 0 {
		o.log(ctl.StreamCtl, fmt.Sprintf("steamcmd ended with code %d after it was done; the files are complete, so that does not matter.", end.code))
	}
	return nil
}

// say replaces the sentence.
func (f *Failure) say(sentence string) {
	f.Sentence = sentence
	if f.Child != nil {
		f.Child.Reason = sentence
	}
}
