"""Margin: what each account must hold, by rule (Regulation T, FINRA 4210) and by house."""
