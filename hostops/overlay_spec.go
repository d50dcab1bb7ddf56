package hostops

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"left4me/hostops/ctl"
	"left4me/hostops/overlay"
)

// The bounds of an overlay's spec.
const (
	maxOverlaySpec = 16 << 20 // bytes of the file
	maxBy          = 200      // bytes
	maxWhy         = 500
	maxItems       = 2_000
	maxScript      = 256 << 10
	maxOptions     = 32
	maxOption      = 200 // characters of a recipe's option
	maxChanges     = 20_000
	maxAdmitted    = 10_000
	maxLimit       = 1 << 30 // of seconds or MiB: no more than a number that fits
)

var (
	overlayKinds = []ctl.OverlayKind{ctl.OverlayWorkshop, ctl.OverlayScript, ctl.OverlayFiles, ctl.OverlayManaged}
	fileOps      = []ctl.FileOp{ctl.FilePut, ctl.FileUnpack, ctl.FileMkdir, ctl.FileMove, ctl.FileDelete}

	// fieldsOf says which fields belong to a kind, beside those that every one has.
	fieldsOf = map[ctl.OverlayKind][]string{
		ctl.OverlayWorkshop: {"items", "fetch"},
		ctl.OverlayScript:   {"script", "limits"},
		ctl.OverlayFiles:    {"base", "from", "changes"},
		ctl.OverlayManaged:  {"recipe", "options", "limits"},
	}
	commonFields = []string{"kind", "by", "why", "admit"}

	recipeName = regexp.MustCompile(`\A[a-z0-9][a-z0-9_-]{0,63}\z`)
	contentSum = regexp.MustCompile(`\A[0-9a-f]{64}\z`)
	uploadID   = regexp.MustCompile(`\A[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\z`)
)

// ParseOverlaySpec reads and checks the spec of an overlay in YAML or JSON. name is
// what the file is called in messages. Everything that can be judged without the
// host's files is judged here. Every error is ctl.ErrBadSpec and begins with name
// and line, such as
//
//	overlay.yaml:2: items does not belong to a script overlay (its fields are script, limits)
func ParseOverlaySpec(name string, r io.Reader) (ctl.OverlaySpec, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxOverlaySpec+1))
	if err != nil {
		return ctl.OverlaySpec{}, fail(ctl.ErrBadSpec, "%s: cannot be read: %v", name, err)
	}
	if len(data) > maxOverlaySpec {
		return ctl.OverlaySpec{}, fail(ctl.ErrBadSpec, "%s: the spec is larger than 16 MiB", name)
	}
	spec, lines, err := decodeOverlaySpec(data)
	if err == nil {
		err = checkOverlaySpec(spec, lines)
	}
	var bad *badSpec
	if errors.As(err, &bad) {
		if bad.line > 0 {
			return ctl.OverlaySpec{}, fail(ctl.ErrBadSpec, "%s:%d: %s", name, bad.line, bad.text)
		}
		return ctl.OverlaySpec{}, fail(ctl.ErrBadSpec, "%s: %s", name, bad.text)
	}
	return spec, err
}

// overlayLines says on which line each value began.
type overlayLines struct {
	field   map[string]int
	items   []int
	changes []int
	admit   []int
	options map[string]int
}

func checkOverlaySpec(s ctl.OverlaySpec, at overlayLines) error {
	checks := []func(ctl.OverlaySpec, overlayLines) error{
		checkKind, checkByAndWhy, checkAdmit, checkItems, checkScript, checkLimits, checkRecipe, checkBase, checkChanges,
	}
	for _, check := range checks {
		if err := check(s, at); err != nil {
			return err
		}
	}
	return nil
}

func checkKind(s ctl.OverlaySpec, at overlayLines) error {
	line, given := at.field["kind"]
	if !given {
		return objection(0, "kind is missing: give one of workshop, script, files and managed")
	}
	if !slices.Contains(overlayKinds, s.Kind) {
		return objection(line, "%q is no kind of overlay: use workshop, script, files or managed", short(string(s.Kind)))
	}
	own := fieldsOf[s.Kind]
	for _, field := range overlayFields {
		if line, given := at.field[field]; given && !slices.Contains(commonFields, field) && !slices.Contains(own, field) {
			return objection(line, "%s does not belong to a %s overlay (its fields are %s)", field, s.Kind, strings.Join(own, ", "))
		}
	}
	return nil
}

// checkLine refuses what would not stay one line of readable text.
func checkLine(line int, field, text string, most int) error {
	switch {
	case len(text) > most:
		return objection(line, "%s has %d bytes: at most %d are allowed", field, len(text), most)
	case !utf8.ValidString(text):
		return objection(line, "%s is not valid UTF-8", field)
	case strings.ContainsFunc(text, unicode.IsControl):
		return objection(line, "%s contains a control character such as a line break or tab: leave it out", field)
	}
	return nil
}

func checkByAndWhy(s ctl.OverlaySpec, at overlayLines) error {
	if err := checkLine(at.field["by"], "by", s.By, maxBy); err != nil {
		return err
	}
	return checkLine(at.field["why"], "why", s.Why, maxWhy)
}

func checkAdmit(s ctl.OverlaySpec, at overlayLines) error {
	if len(s.Admit) > maxAdmitted {
		return objection(at.field["admit"], "%d admitted files are too many: at most %d are allowed", len(s.Admit), maxAdmitted)
	}
	for i, sum := range s.Admit {
		if !contentSum.MatchString(sum) {
			return objection(at.admit[i], "admit entry %d is no SHA-256: write 64 of 0-9 and a-f", i+1)
		}
	}
	return nil
}

func checkItems(s ctl.OverlaySpec, at overlayLines) error {
	if len(s.Items) > maxItems {
		return objection(at.field["items"], "%d items are too many: at most %d are allowed", len(s.Items), maxItems)
	}
	seen := make(map[string]bool, len(s.Items))
	for i, item := range s.Items {
		n, err := strconv.ParseUint(item, 10, 64)
		if err != nil || n == 0 || strconv.FormatUint(n, 10) != item {
			return objection(at.items[i], "%q is not the number of a workshop item, which is the digits behind ?id= in its address", short(item))
		}
		if seen[item] {
			return objection(at.items[i], "item %s is listed twice", item)
		}
		seen[item] = true
	}
	return nil
}

func checkScript(s ctl.OverlaySpec, at overlayLines) error {
	switch line := at.field["script"]; {
	case s.Kind != ctl.OverlayScript:
	case strings.TrimSpace(s.Script) == "":
		return objection(line, "script is empty: a script overlay is what a bash script leaves in its folder")
	case len(s.Script) > maxScript:
		return objection(line, "script has %d bytes: at most %d are allowed", len(s.Script), maxScript)
	case !utf8.ValidString(s.Script):
		return objection(line, "script is not valid UTF-8")
	}
	return nil
}

func checkLimits(s ctl.OverlaySpec, at overlayLines) error {
	for _, n := range []int64{s.Limits.Seconds, s.Limits.MemoryMB, s.Limits.DiskMB} {
		if n < 0 || n > maxLimit {
			return objection(at.field["limits"], "limits has the number %d: use 1 and more, or leave it out for the host's own", n)
		}
	}
	return nil
}

func checkRecipe(s ctl.OverlaySpec, at overlayLines) error {
	if s.Kind != ctl.OverlayManaged {
		return nil
	}
	if !recipeName.MatchString(s.Recipe) {
		return objection(at.field["recipe"], "recipe must name one that comes with left4me, such as sourcemod, not %q", short(s.Recipe))
	}
	if len(s.Options) > maxOptions {
		return objection(at.field["options"], "%d options are too many: at most %d are allowed", len(s.Options), maxOptions)
	}
	for name, value := range s.Options {
		line := at.options[name]
		if !recipeName.MatchString(name) {
			return objection(line, "%q is not the name of an option", short(name))
		}
		if err := checkLine(line, "option "+name, value, 4*maxOption); err != nil {
			return err
		}
		if utf8.RuneCountInString(value) > maxOption {
			return objection(line, "option %s is longer than %d characters", name, maxOption)
		}
	}
	return nil
}

func checkBase(s ctl.OverlaySpec, at overlayLines) error {
	switch {
	case s.Base < 0 || s.Base > overlay.MaxNumber:
		return objection(at.field["base"], "base must be the number of a version, such as 3 for v3, or 0 to begin with an empty folder")
	case s.From == "":
		return nil
	case s.Base != 0:
		return objection(at.field["from"], "base and from exclude each other: take the content from one of them")
	}
	if err := checkLine(at.field["from"], "from", s.From, 4096); err != nil {
		return err
	}
	if !filepath.IsAbs(s.From) || filepath.Clean(s.From) != s.From {
		return objection(at.field["from"], "from must be the whole path of a folder, such as /home/me/maps, not %q", short(s.From))
	}
	return nil
}

func checkChanges(s ctl.OverlaySpec, at overlayLines) error {
	if len(s.Changes) > maxChanges {
		return objection(at.field["changes"], "%d changes are too many: at most %d are allowed", len(s.Changes), maxChanges)
	}
	for i, c := range s.Changes {
		if err := checkChange(c); err != nil {
			return objection(at.changes[i], "change %d: %v", i+1, err)
		}
	}
	return nil
}

func checkChange(c ctl.FileChange) error {
	if !slices.Contains(fileOps, c.Op) {
		return fmt.Errorf("%q is no change: use put, unpack, mkdir, move or delete", short(string(c.Op)))
	}
	// Where an archive or add-on belongs can be told from what it holds; the top is
	// a folder to unpack into as well.
	found := c.Path == "" && (c.Op == ctl.FileUnpack || c.Op == ctl.FilePut)
	if top := c.Path == "." && c.Op == ctl.FileUnpack; !found && !top {
		if err := overlay.CheckPath(c.Path); err != nil {
			return fmt.Errorf("path: %w", err)
		}
	}
	if err := checkTarget(c); err != nil {
		return err
	}
	uploads := c.Op == ctl.FilePut || c.Op == ctl.FileUnpack
	switch {
	case uploads && !uploadID.MatchString(c.Upload):
		return fmt.Errorf("upload must be the id of an upload, not %q", short(c.Upload))
	case !uploads && (c.Upload != "" || c.Name != ""):
		return fmt.Errorf("%s takes no upload and no name", c.Op)
	}
	if err := checkLine(0, "name", c.Name, overlay.MaxName); err != nil {
		return err
	}
	if strings.ContainsAny(c.Name, `/\`) {
		return fmt.Errorf("name is that of a file, without folders")
	}
	return nil
}

func checkTarget(c ctl.FileChange) error {
	switch {
	case c.Op != ctl.FileMove && c.Target != "":
		return fmt.Errorf("%s takes no target", c.Op)
	case c.Op != ctl.FileMove:
		return nil
	}
	if err := overlay.CheckPath(c.Target); err != nil {
		return fmt.Errorf("target: %w", err)
	}
	return nil
}
