package webui

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"strings"
)

//go:embed templates/*.html
var templateFiles embed.FS

// view is a page or a fragment: one struct that names its template.
type view interface{ template() string }

// fragment is a piece of a page that the live stream can replace: the element
// with this id.
type fragment interface {
	view
	elementID() string
}

// views is every page and fragment. A file in templates/ that none of them names
// stops the program.
var views = []view{
	signinPage{},
	messagePage{},
	confirmPage{},
	accountPage{},
	usersPage{},
	userPage{},
	auditPage{},
	serversPage{},
	newServerPage{},
	serverPage{},
	serverLogPage{},
	jobLogPage{},
	serverFilesPage{},
	gameTextPage{},
	playersPage{},
	playersNow{},
	historyPage{},
	serverJobsPage{},
	serverSettingsPage{},
	serverConsolePage{},
	serverMapPage{},
	exchanges{},
	consoleForm{},
	blueprintsPage{},
	blueprintPage{},
	importPage{},
	gamePage{},
	updatePage{},
	adminPage{},
	adminHealth{},
	hostPage{},
	hostReport{},
	schedulesPage{},
	scheduleStatus{},
	jobsPage{},
	jobPage{},
	stripView{},
	toastView{},
	serverGrid{},
	setup{},
	serverSummary{},
	serverCard{},
	serverHead{},
	serverNow{},
	serverForm{},
	rconView{},
	changesNote{},
	blueprintList{},
	blueprintForm{},
	blueprintLinked{},
	argvView{},
	argumentsField{},
	blueprintOverlays{},
	cfgPreview{},
	campaignList{},
	campaignPage{},
	stackPage{},
	overlaysPage{},
	overlayList{},
	newOverlayPage{},
	overlayPage{},
	overlayHead{},
	overlayVersions{},
	versionsPage{},
	versionPage{},
	workshopAdd{},
	workshopItems{},
	draftBar{},
	entryPage{},
	scriptBuild{},
	gameCard{},
	jobTable{},
	jobHead{},
	jobProgress{},
}

// shared are the files that only define pieces for others.
var shared = map[string]bool{"layout.html": true, "admin_tabs.html": true, "parts.html": true, "server_tabs.html": true, "server_apply.html": true, "log.html": true, "person.html": true, "chart.html": true, "web_key.html": true, "overlay_workshop.html": true, "overlay_managed.html": true, "overlay_script.html": true, "overlay_files.html": true}

type templates struct {
	set    *template.Template
	memory *memory
}

func loadTemplates(assetURL func(string) (string, error)) (*templates, error) {
	t := &templates{memory: newMemory()}
	set, err := template.New("").Funcs(templateFuncs(assetURL)).Funcs(template.FuncMap{"part": t.part}).ParseFS(templateFiles, "templates/*.html")
	if err != nil {
		return nil, fmt.Errorf("parse templates: %w", err)
	}
	named := map[string]bool{}
	for _, v := range views {
		if set.Lookup(v.template()) == nil {
			return nil, fmt.Errorf("template %s of %T does not exist", v.template(), v)
		}
		named[v.template()] = true
	}
	files, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		return nil, fmt.Errorf("list templates: %w", err)
	}
	for _, f := range files {
		if name := strings.TrimPrefix(f, "templates/"); !named[name] && !shared[name] {
			return nil, fmt.Errorf("template %s belongs to no view", name)
		}
	}
	t.set = set
	// Every page has the same head: this finds a static file that is not there.
	if _, err := t.render(messagePage{}); err != nil {
		return nil, err
	}
	return t, nil
}

// part renders a fragment inside a page. What comes of it was escaped by its own
// template.
func (t *templates) part(v view) (template.HTML, error) {
	html, err := t.render(v)
	return template.HTML(html), err
}

// render makes the HTML of a view. Nobody may change what it returns.
func (t *templates) render(v view) ([]byte, error) {
	again, ok := v.(remembered)
	if ok {
		if html, known := t.memory.get(again); known {
			return html, nil
		}
	}
	var out bytes.Buffer
	if err := t.set.ExecuteTemplate(&out, v.template(), v); err != nil {
		return nil, fmt.Errorf("render %s: %w", v.template(), err)
	}
	if ok {
		t.memory.add(again, out.Bytes())
	}
	return out.Bytes(), nil
}
