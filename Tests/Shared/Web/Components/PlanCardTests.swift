import Testing

@testable import Web

struct PlanCardTests {
    @Test func `a card escapes what an operator wrote, and is marked if it is chosen`() {
        let card = PlanCard(
            hostile, mark: "Your plan", isChosen: true, figure: "$29", unit: "a month", notes: ["500 credits"], features: [hostile],
            act: HTML("Cancel"))
        let text = planCards("Plans", [card]).text
        #expect(!text.contains("<script>"))
        #expect(
            text.contains(
                #"<ul class="cards" aria-label="Plans"><li class="card chosen"><div class="head"><h2><bdi>\#(escaped)</bdi></h2>"#))
        #expect(text.contains(#"<p class="figure">$29<small> a month</small></p><p class="muted small">500 credits</p>"#))
        #expect(text.contains(#"<ul class="features"><li><bdi>\#(escaped)</bdi></li></ul><div class="act">Cancel</div>"#))
    }
}
